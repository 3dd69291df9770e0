// Package builtin is the only list of what ships in the binary.
package builtin

import (
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/merlon-security/merlon/internal/sink/csv"
	"github.com/merlon-security/merlon/internal/sink/github"
	"github.com/merlon-security/merlon/internal/sink/gitlab"
	"github.com/merlon-security/merlon/internal/sink/html"
	"github.com/merlon-security/merlon/internal/sink/json"
	"github.com/merlon-security/merlon/internal/sink/junit"
	"github.com/merlon-security/merlon/internal/sink/markdown"
	"github.com/merlon-security/merlon/internal/sink/ocsf"
	"github.com/merlon-security/merlon/internal/sink/openreports"
	"github.com/merlon-security/merlon/internal/sink/sarif"
	"github.com/merlon-security/merlon/internal/sink/table"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/source/audit"
	"github.com/merlon-security/merlon/internal/source/cluster"
	"github.com/merlon-security/merlon/internal/source/dockerfile"
	"github.com/merlon-security/merlon/internal/source/helm"
	"github.com/merlon-security/merlon/internal/source/kustomize"
	"github.com/merlon-security/merlon/internal/source/manifest"
	"github.com/merlon-security/merlon/internal/source/node"
)

// Sources lists where facts come from.
func Sources() []config.Kind[source.Source] {
	return append(Files(), cluster.Kind(), node.Kind())
}

// Files lists the sources of files, which share a survey. Those that claim files
// come before the source of plain manifests, which reads what is left.
func Files() []config.Kind[source.Source] {
	return append(Renderers(), dockerfile.Kind(), manifest.Kind())
}

// Renderers lists the sources that render what a deployment names.
func Renderers() []config.Kind[source.Source] {
	return []config.Kind[source.Source]{kustomize.Kind(), helm.Kind()}
}

// Jobs lists what a child process can be asked to do.
func Jobs() map[string]sandbox.Job {
	return map[string]sandbox.Job{helm.Name: helm.Render, helm.KeysName: helm.Keys, kustomize.Name: kustomize.Build}
}

// Events lists where events come from.
func Events() []config.Kind[source.Events] {
	return []config.Kind[source.Events]{audit.Kind()}
}

// Sinks lists where reports go.
func Sinks() []config.Kind[sink.Sink] {
	return []config.Kind[sink.Sink]{
		table.Kind(),
		json.Kind(),
		html.Kind(),
		sarif.Kind(),
		junit.Kind(),
		csv.Kind(),
		markdown.Kind(),
		openreports.Kind(),
		ocsf.Kind(),
		github.Kind(),
		gitlab.Kind(),
		gitlab.SASTKind(),
	}
}
