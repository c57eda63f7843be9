// Says whether an API server would take Kubernetes manifests: what comes on standard input is decoded as strictly as `kubectl
// apply --validate=strict` has it done, and checked by the API server's own rules. Writes all of it as one JSON array.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsrules "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corerules "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingrules "k8s.io/kubernetes/pkg/apis/networking/validation"
	disruption "k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	disruptionrules "k8s.io/kubernetes/pkg/apis/policy/validation"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

// What an API server would fill in.
const namespace = "default"

// How manifests begin whose fields are not checked.
const unchecked = "apiVersion: cert-manager.io/"

func main() {
	manifests, err := read(os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(manifests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read takes all documents; what is wrong with any of them is told together.
func read(input io.Reader) ([]map[string]any, error) {
	checker := newChecker()
	documents := yaml.NewYAMLReader(bufio.NewReader(input))
	found, wrong := []map[string]any{}, []error{}
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found, errors.Join(wrong...)
		}
		var manifest map[string]any
		if err == nil {
			err = sigsyaml.UnmarshalStrict(text, &manifest)
		}
		if err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, text)
		}
		if len(manifest) == 0 {
			continue
		}
		found = append(found, manifest)
		if err := checker.check(text); err != nil {
			wrong = append(wrong, fmt.Errorf("%v: %w", manifest["kind"], err))
		}
	}
}

type checker struct {
	// To what a manifest says, and to what an API server works with.
	said, internal runtime.Decoder
	standards      policy.Evaluator
}

func newChecker() checker {
	scheme := legacyscheme.Scheme
	for _, add := range []func(*runtime.Scheme) error{monitoring.AddToScheme, gateway.Install} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	standards, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err)
	}
	return checker{codecs.UniversalDeserializer(), codecs.UniversalDecoder(), standards}
}

func (c checker) check(text []byte) error {
	said, _, err := c.said.Decode(text, nil, nil)
	if runtime.IsNotRegisteredError(err) && bytes.HasPrefix(text, []byte(unchecked)) {
		return nil
	} else if err != nil {
		return err
	}
	switch said.(type) {
	case *monitoring.ServiceMonitor, *gateway.HTTPRoute, *gateway.BackendTLSPolicy, *gateway.TLSRoute:
		// Of these, fields and their types are all that is checked.
		return nil
	}
	object, _, err := c.internal.Decode(text, nil, nil)
	if err != nil {
		return err
	}
	wrong := rules(object)
	legacyscheme.Scheme.Default(said)
	wrong = append(wrong, legacyscheme.Scheme.Validate(context.Background(), nil, said)...)
	switch said := said.(type) {
	case *appsv1.StatefulSet:
		wrong = append(wrong, c.admission(&said.Spec.Template)...)
	case *appsv1.Deployment:
		wrong = append(wrong, c.admission(&said.Spec.Template)...)
	}
	return wrong.ToAggregate()
}

// admission is that to a namespace of the strictest of the Pod Security Standards.
func (c checker) admission(pod *corev1.PodTemplateSpec) field.ErrorList {
	wrong := field.ErrorList{}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	for _, result := range c.standards.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			wrong = append(wrong, field.Forbidden(field.NewPath("spec", "template"), result.ForbiddenReason+": "+result.ForbiddenDetail))
		}
	}
	return wrong
}

// rules are those that an API server has for what is created.
func rules(object runtime.Object) field.ErrorList {
	if meta, ok := object.(interface {
		GetNamespace() string
		SetNamespace(string)
	}); ok && meta.GetNamespace() == "" {
		meta.SetNamespace(namespace)
	}
	switch object := object.(type) {
	case *core.Service:
		allocate(&object.Spec)
		return corerules.ValidateServiceCreate(object)
	case *core.Secret:
		return corerules.ValidateSecret(object)
	case *core.ServiceAccount:
		return corerules.ValidateServiceAccount(object)
	case *apps.StatefulSet:
		return appsrules.ValidateStatefulSet(object, appsrules.StatefulSetValidationOptions{}, corerules.PodValidationOptions{})
	case *apps.Deployment:
		return appsrules.ValidateDeployment(object, corerules.PodValidationOptions{})
	case *disruption.PodDisruptionBudget:
		return disruptionrules.ValidatePodDisruptionBudget(object, disruptionrules.PodDisruptionBudgetValidationOptions{})
	case *networking.NetworkPolicy:
		return networkingrules.ValidateNetworkPolicy(object, networkingrules.NetworkPolicyValidationOptions{})
	case *networking.Ingress:
		return networkingrules.ValidateIngressCreate(object)
	default:
		return field.ErrorList{field.NotSupported(field.NewPath("kind"), fmt.Sprintf("%T", object), []string{"what is checked here"})}
	}
}

// allocate gives a Service what an API server would, as far as its rules ask for it.
func allocate(spec *core.ServiceSpec) {
	if spec.ClusterIP == core.ClusterIPNone {
		spec.ClusterIPs = []string{core.ClusterIPNone}
	}
	if spec.Type == core.ServiceTypeLoadBalancer && spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal {
		spec.HealthCheckNodePort = 32000
	}
}
