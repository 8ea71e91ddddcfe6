package observe

import (
	"testing"

	"go.uber.org/goleak"
)

// The launcher's package keeps a thread of its own from the start.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
