package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

// The cluster's proportions.
const (
	namespaces = 100
	owners     = 2000
)

func fill(ctx context.Context, c *kubernetes.Clientset, pods int) error {
	opts := metav1.CreateOptions{}
	err := many(namespaces, func(i int) error {
		_, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space(i)}}, opts)
		return err
	})
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	if err := others(ctx, c); err != nil {
		return err
	}
	return many(owners, func(i int) error {
		d, err := c.AppsV1().Deployments(space(i)).Create(ctx, deployment(i, pods/owners), opts)
		if err != nil {
			return fmt.Errorf("make a Deployment: %w", err)
		}
		meta := metav1.ObjectMeta{Name: d.Name + "-5d8f6c7b9", Labels: d.Labels, OwnerReferences: owner("Deployment", d.Name, d.UID)}
		rs, err := c.AppsV1().ReplicaSets(space(i)).Create(ctx, &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{
			Replicas: d.Spec.Replicas, Selector: d.Spec.Selector, Template: d.Spec.Template,
		}}, opts)
		if err != nil {
			return fmt.Errorf("make a ReplicaSet: %w", err)
		}
		for j := range pods / owners {
			meta := metav1.ObjectMeta{Name: fmt.Sprintf("%s-%05d", rs.Name, j), Labels: d.Spec.Template.Labels, Annotations: d.Spec.Template.Annotations, OwnerReferences: owner("ReplicaSet", rs.Name, rs.UID)}
			spec := *d.Spec.Template.Spec.DeepCopy()
			spec.NodeName = fmt.Sprintf("node-%d", (i+j)%500)
			if _, err := c.CoreV1().Pods(space(i)).Create(ctx, &corev1.Pod{ObjectMeta: meta, Spec: spec}, opts); err != nil {
				return fmt.Errorf("make a pod: %w", err)
			}
		}
		return nil
	})
}

func space(i int) string { return fmt.Sprintf("team-%02d", i%namespaces) }

func owner(kind, name string, uid types.UID) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: uid, Controller: &yes}}
}

// deployment is one of the kinds that teams write: some careful, some not.
func deployment(i, replicas int) *appsv1.Deployment {
	name := fmt.Sprintf("app-%04d", i)
	labels := map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": space(i), "team": space(i), "version": fmt.Sprint("v", i%37)}
	n, yes, no, user := int32(replicas), true, false, int64(1000+i%5)
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("http")}}, PeriodSeconds: 10}
	var env []corev1.EnvVar
	for j := range 8 + i%5 {
		env = append(env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", j), Value: fmt.Sprintf("value-%d-of-%s", j, name)})
	}
	app := corev1.Container{
		Name: "app", Image: fmt.Sprintf("registry.example.com/%s/%s:%d.%d", space(i), name, i%7, i%13), Env: env,
		Args:           []string{"--listen=:8080", "--log-level=info"},
		Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090}},
		LivenessProbe:  probe,
		ReadinessProbe: probe,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")},
			Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/app", ReadOnly: true}, {Name: "tmp", MountPath: "/tmp"}},
	}
	if i%3 > 0 {
		app.SecurityContext = &corev1.SecurityContext{
			RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, RunAsUser: &user,
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	}
	side := corev1.Container{Name: "proxy", Image: "registry.example.com/mesh/proxy:1.22.4", Args: []string{"proxy", "sidecar"}, Ports: []corev1.ContainerPort{{ContainerPort: 15090}}, Resources: app.Resources, SecurityContext: app.SecurityContext}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": space(i)}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": name}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"prometheus.io/scrape": "true", "checksum/config": fmt.Sprintf("%064x", i)}},
				Spec: corev1.PodSpec{
					ServiceAccountName: "default", AutomountServiceAccountToken: &no, Containers: []corev1.Container{app, side},
					Volumes: []corev1.Volume{
						{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: fmt.Sprintf("config-%04d", i%1500)}}}},
						{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					},
				},
			},
		},
	}
}

// others makes 5,000 objects that are no workloads.
func others(ctx context.Context, c *kubernetes.Clientset) error {
	opts := metav1.CreateOptions{}
	meta := func(what string, i int) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: fmt.Sprintf("%s-%04d", what, i), Labels: map[string]string{"team": space(i)}}
	}
	selector := func(i int) map[string]string {
		return map[string]string{"app.kubernetes.io/name": fmt.Sprintf("app-%04d", i)}
	}
	prefix := networkingv1.PathTypePrefix
	for _, kind := range []struct {
		n    int
		make func(i int) error
	}{
		{namespaces, func(i int) error { // the controller makes it too, but later than the pods
			_, err := c.CoreV1().ServiceAccounts(space(i)).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, opts)
			return err
		}},
		{1500, func(i int) error {
			data := map[string]string{}
			for j := range 6 {
				data[fmt.Sprintf("key-%d.conf", j)] = fmt.Sprintf("listen = 0.0.0.0:8080\nlevel = info\nname = part %d of %d\nworkers = %d\n", j, i, i%16)
			}
			_, err := c.CoreV1().ConfigMaps(space(i)).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta("config", i), Data: data}, opts)
			return err
		}},
		{1500, func(i int) error {
			_, err := c.CoreV1().Services(space(i)).Create(ctx, &corev1.Service{ObjectMeta: meta("svc", i), Spec: corev1.ServiceSpec{ClusterIP: "None", Selector: selector(i), Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}}}, opts)
			return err
		}},
		{500, func(i int) error {
			_, err := c.CoreV1().ServiceAccounts(space(i)).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta("account", i)}, opts)
			return err
		}},
		{500, func(i int) error {
			backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: fmt.Sprintf("svc-%04d", i), Port: networkingv1.ServiceBackendPort{Name: "http"}}}
			_, err := c.NetworkingV1().Ingresses(space(i)).Create(ctx, &networkingv1.Ingress{ObjectMeta: meta("web", i), Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
				Host:             fmt.Sprintf("app-%d.example.com", i),
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: backend}}}},
			}}}}, opts)
			return err
		}},
		{500, func(i int) error {
			_, err := c.NetworkingV1().NetworkPolicies(space(i)).Create(ctx, &networkingv1.NetworkPolicy{ObjectMeta: meta("policy", i), Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: selector(i)}, PolicyTypes: []networkingv1.PolicyType{"Ingress"},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
			}}, opts)
			return err
		}},
		{250, func(i int) error {
			_, err := c.RbacV1().Roles(space(i)).Create(ctx, &rbacv1.Role{ObjectMeta: meta("role", i), Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}, Verbs: []string{"get", "list", "watch"}}}}, opts)
			return err
		}},
		{250, func(i int) error {
			_, err := c.RbacV1().RoleBindings(space(i)).Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: meta("binding", i), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: fmt.Sprintf("role-%04d", i)},
				Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: space(i), Name: fmt.Sprintf("account-%04d", i)}},
			}, opts)
			return err
		}},
	} {
		if err := many(kind.n, kind.make); err != nil {
			return fmt.Errorf("make other objects: %w", err)
		}
	}
	return nil
}
