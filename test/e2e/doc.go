// Package e2e holds Merlon as a whole to what it promises: one application with
// nothing left to mend and single mistakes seeded into it, secrets that must
// show nowhere, hostile names, bad input, places of findings.
package e2e
