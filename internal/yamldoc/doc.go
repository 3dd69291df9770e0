// Package yamldoc turns bytes into fact's objects and back: YAML and JSON files
// with the place of every value, and the API server's protobuf.
//
// A document means what kubectl and the API server make of it, which is not
// what the YAML specification says. The reference is sigs.k8s.io/yaml (YAML 1.1
// as go.yaml.in/yaml/v2 resolves it, then JSON) followed by decoding into the
// typed objects of k8s.io/api; differential tests hold it.
//
// Nothing here quotes a value that was read in an error or a problem: manifests
// hold secrets, also where they are broken.
package yamldoc
