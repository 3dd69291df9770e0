// Package reach computes who can talk to whom: exactly what the network policies
// of a snapshot allow between pods, and between pods and addresses outside.
//
// Nothing is sampled. Pods that no selector tells apart are one [Endpoint], so
// cost follows distinct sets of labels and rules; ports are sets of intervals,
// addresses disjoint ranges. What cannot be evaluated is a gap and taints the
// answers that it could change.
//
// Sources: the API reference of networking.k8s.io/v1 NetworkPolicy, and of
// policy.networking.k8s.io v1alpha1 (AdminNetworkPolicy, BaselineAdminNetworkPolicy)
// and v1alpha2 (ClusterNetworkPolicy).
package reach
