// Package guest is what runs inside the virtual machine of `make test-kernels`: its first process, which runs the test
// binaries that a plan names and says on a serial line of its own how they ended.
package guest

// PlanPath is where the plan lies in the machine's root.
const PlanPath = "/plan.json"

// Line begins what the first process itself says; all else on the serial line is the tests' output.
const Line = "@guest "

// Plan is what the machine does before it powers off.
type Plan struct {
	// Modules are loaded in this order: paths in the machine's root.
	Modules []string
	Runs    []Run
}

// Run is one test binary.
type Run struct {
	Package string
	Binary  string
	// Dir is its working directory, where its testdata lies.
	Dir  string
	Args []string
}
