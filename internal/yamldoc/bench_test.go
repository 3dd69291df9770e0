package yamldoc

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// deployment is a typical workload of 3 KB; the dependency research measured
// decoders on one of this size.
const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: payments-api
  namespace: payments
  labels:
    app.kubernetes.io/name: payments-api
    app.kubernetes.io/part-of: shop
    app.kubernetes.io/managed-by: Helm
    helm.sh/chart: payments-api-2.14.3
  annotations:
    deployment.kubernetes.io/revision: "7"
    prometheus.io/scrape: "true"
spec:
  replicas: 3
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      app.kubernetes.io/name: payments-api
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 25%
  template:
    metadata:
      labels:
        app.kubernetes.io/name: payments-api
        app.kubernetes.io/part-of: shop
      annotations:
        checksum/config: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    spec:
      serviceAccountName: payments-api
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 30
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        fsGroup: 10001
        seccompProfile:
          type: RuntimeDefault
      initContainers:
      - name: migrate
        image: registry.example.com/payments/api:2.14.3
        command: ["/bin/migrate", "--up"]
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: ["ALL"]
      containers:
      - name: api
        image: registry.example.com/payments/api:2.14.3
        imagePullPolicy: IfNotPresent
        args:
        - --listen=:8443
        - --log-level=info
        ports:
        - name: https
          containerPort: 8443
          protocol: TCP
        - name: metrics
          containerPort: 9090
        env:
        - name: DATABASE_HOST
          value: postgres.payments.svc
        - name: DATABASE_PASSWORD
          valueFrom:
            secretKeyRef:
              name: payments-db
              key: password
        - name: LOG_FORMAT
          value: json
        resources:
          requests:
            cpu: 100m
            memory: 128Mi
          limits:
            cpu: 500m
            memory: 256Mi
        livenessProbe:
          httpGet:
            path: /healthz
            port: https
            scheme: HTTPS
          initialDelaySeconds: 10
          periodSeconds: 15
        readinessProbe:
          httpGet:
            path: /readyz
            port: https
            scheme: HTTPS
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: ["ALL"]
        volumeMounts:
        - name: tmp
          mountPath: /tmp
        - name: config
          mountPath: /etc/payments
          readOnly: true
      volumes:
      - name: tmp
        emptyDir: {}
      - name: config
        configMap:
          name: payments-config
`

const service = `apiVersion: v1
kind: Service
metadata:
  name: payments-api
  namespace: payments
  labels: {app.kubernetes.io/name: payments-api}
spec:
  type: ClusterIP
  selector:
    app.kubernetes.io/name: payments-api
  ports:
  - name: https
    port: 443
    targetPort: https
`

// manyDocuments is a file of 100 workloads with their services, no two alike.
func manyDocuments() []byte {
	var b bytes.Buffer
	for i := range 100 {
		name := "payments-" + strconv.Itoa(i)
		b.WriteString("---\n" + strings.ReplaceAll(deployment, "payments-api", name))
		b.WriteString("---\n" + strings.ReplaceAll(service, "payments-api", name))
	}
	return b.Bytes()
}

// bareYAML is the limit: the parser alone, to nodes, over the whole stream.
func bareYAML(tb testing.TB, data []byte) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := d.Decode(&n); err != nil {
			if !errors.Is(err, io.EOF) {
				tb.Fatal(err)
			}
			return
		}
	}
}

func readAll(tb testing.TB, data []byte) []Document {
	var out []Document
	r := NewReader(bytes.NewReader(data), "f", Limits{})
	for {
		d, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, d)
	}
}

func BenchmarkYAMLBare(b *testing.B) {
	data := manyDocuments()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		bareYAML(b, data)
	}
}

func BenchmarkYAMLNext(b *testing.B) {
	data := manyDocuments()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, data)
	}
}

func BenchmarkJSONNext(b *testing.B) {
	var data []byte
	for _, d := range readAll(b, manyDocuments()) {
		data = append(append(data, JSON(d.Root)...), '\n')
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, data)
	}
}

func BenchmarkOneSmallFile(b *testing.B) {
	b.SetBytes(int64(len(deployment)))
	b.ReportAllocs()
	var root fact.Value
	for b.Loop() {
		root = readAll(b, []byte(deployment))[0].Root
	}
	_ = root
}

// BenchmarkYAMLRatio reports what Next costs beside the bare parser, by the
// short cut and where every document goes through the parser, in CPU time of the
// process and each at its best of many turns, so that the figures mean something
// on a busy machine too.
func BenchmarkYAMLRatio(b *testing.B) {
	data := manyDocuments()
	bare, parsed, next := math.MaxFloat64, math.MaxFloat64, math.MaxFloat64
	for b.Loop() {
		for range 20 {
			from := cpuSeconds(b)
			bareYAML(b, data)
			bare, from = min(bare, cpuSeconds(b)-from), cpuSeconds(b)
			eachDocument(b, data, true)
			parsed, from = min(parsed, cpuSeconds(b)-from), cpuSeconds(b)
			eachDocument(b, data, false)
			next = min(next, cpuSeconds(b)-from)
		}
	}
	megabytes := float64(len(data)) / 1e6
	b.ReportMetric(next/bare, "×bare")
	b.ReportMetric(parsed/bare, "×bare-parsed")
	b.ReportMetric(megabytes/bare, "bare-MB/s")
	b.ReportMetric(megabytes/next, "next-MB/s")
}

func cpuSeconds(tb testing.TB) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// eachDocument reads a file and keeps nothing, as bareYAML does.
func eachDocument(tb testing.TB, data []byte, parserOnly bool) {
	r := NewReader(bytes.NewReader(data), "f", Limits{})
	r.parserOnly = parserOnly
	for {
		if _, err := r.Next(); err == io.EOF {
			return
		} else if err != nil {
			tb.Fatal(err)
		}
	}
}
