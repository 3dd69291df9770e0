package reach

import "github.com/merlon-security/merlon/internal/fact"

// Keys that this package reads, interned once.
var (
	keyMatchLabels      = fact.K("matchLabels")
	keyMatchExpressions = fact.K("matchExpressions")
	keyKey              = fact.K("key")
	keyOperator         = fact.K("operator")
	keyValues           = fact.K("values")
	keySpec             = fact.K("spec")
	keyMetadata         = fact.K("metadata")
	keyLabels           = fact.K("labels")
	keyName             = fact.K("name")
	keyPorts            = fact.K("ports")
	keyContainerPort    = fact.K("containerPort")
	keyProtocol         = fact.K("protocol")
	keyHostNetwork      = fact.K("hostNetwork")
	keyStatus           = fact.K("status")
	keyPodSelector      = fact.K("podSelector")
	keyNamespaceSel     = fact.K("namespaceSelector")
	keyIPBlock          = fact.K("ipBlock")
	keyPort             = fact.K("port")
	keyEndPort          = fact.K("endPort")
	keyReplicas         = fact.K("replicas")
	keyOwnerReferences  = fact.K("ownerReferences")
	keyController       = fact.K("controller")
	keyKind             = fact.K("kind")
	keyNamespaces       = fact.K("namespaces")
	keyPods             = fact.K("pods")
)
