package seccomp

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The profile that ships.
func shipped(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../../seccomp.json")
	require.NoError(t, err)
	return text
}

// ask runs the filter as the kernel would.
func ask(t *testing.T, text []byte, beforeStart bool, id uint32, number int, args ...uint64) uint32 {
	t.Helper()
	rules, err := parse(text, beforeStart)
	require.NoError(t, err)
	program, err := assemble(rules)
	require.NoError(t, err)
	vm, err := bpf.NewVM(program)
	require.NoError(t, err)
	// The kernel's loads are of the host's order, the VM's of the network's: so each half of an argument is written big-endian.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offNumber:], uint32(number))
	binary.BigEndian.PutUint32(data[offArch:], id)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
	}
	answer, err := vm.Run(data)
	require.NoError(t, err)
	return uint32(answer)
}

func TestShippedProfile(t *testing.T) {
	t.Parallel()
	const allow = uint32(unix.SECCOMP_RET_ALLOW)
	here := uint32(unix.AUDIT_ARCH_X86_64)
	tests := map[string]struct {
		number int
		args   []uint64
		want   uint32
		// start is the answer under a container runtime.
		start uint32
	}{
		"read":                        {unix.SYS_READ, nil, allow, allow},
		"bpf":                         {unix.SYS_BPF, []uint64{5}, allow, allow},
		"execve":                      {unix.SYS_EXECVE, nil, refuse, allow},
		"ptrace":                      {unix.SYS_PTRACE, nil, refuse, refuse},
		"a thread":                    {unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD}, allow, allow},
		"a process":                   {unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, refuse, refuse},
		"clone3":                      {unix.SYS_CLONE3, nil, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS), unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		"IPv4":                        {unix.SYS_SOCKET, []uint64{unix.AF_INET}, allow, allow},
		"IPv6":                        {unix.SYS_SOCKET, []uint64{unix.AF_INET6}, allow, allow},
		"packets":                     {unix.SYS_SOCKET, []uint64{unix.AF_PACKET}, refuse, refuse},
		"high half":                   {unix.SYS_SOCKET, []uint64{unix.AF_INET | 1<<32}, refuse, refuse},
		"to read":                     {unix.SYS_OPENAT, []uint64{0, 0, unix.O_CLOEXEC | unix.O_DIRECTORY}, allow, allow},
		"to write":                    {unix.SYS_OPENAT, []uint64{0, 0, unix.O_WRONLY}, refuse, allow},
		"to read and write":           {unix.SYS_OPENAT, []uint64{0, 0, unix.O_RDWR}, refuse, allow},
		"to make":                     {unix.SYS_OPENAT, []uint64{0, 0, unix.O_CREAT}, refuse, allow},
		"to truncate":                 {unix.SYS_OPENAT, []uint64{0, 0, unix.O_TRUNC}, refuse, allow},
		"name of memory":              {unix.SYS_PRCTL, []uint64{unix.PR_SET_VMA}, allow, allow},
		"an argument that is no call": {unix.SYS_PRCTL, []uint64{unix.SYS_STAT}, refuse, allow},
		"own limits":                  {unix.SYS_PRLIMIT64, []uint64{0}, allow, allow},
		"other's limits":              {unix.SYS_PRLIMIT64, []uint64{1}, refuse, allow},
		"perf":                        {unix.SYS_IOCTL, []uint64{3, unix.PERF_EVENT_IOC_SET_BPF}, allow, allow},
		"terminal":                    {unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}, refuse, refuse},
		"x32":                         {unix.SYS_READ | x32, nil, refuse, refuse},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, ask(t, shipped(t), false, here, test.number, test.args...))
			require.Equal(t, test.start, ask(t, shipped(t), true, here, test.number, test.args...))
			require.Equal(t, refuse, ask(t, shipped(t), true, unix.AUDIT_ARCH_I386, test.number, test.args...), "32-bit code")
		})
	}
}

// A name that is misspelt would be passed over in silence.
func TestEveryNameIsKnown(t *testing.T) {
	t.Parallel()
	rules, err := parse(shipped(t), true)
	require.NoError(t, err)
	for name := range rules {
		require.Contains(t, arch.X86_64.SyscallNames, name)
	}
}

func TestBadProfiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":                   `{`,
		"a list of what is refused": `{"defaultAction":"SCMP_ACT_ALLOW"}`,
		"another action":            `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_TRACE"}]}`,
		"another comparison":        `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"op":"SCMP_CMP_GT"}]}]}`,
		"no such argument":          `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}`,
		"never holds":               `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"value":1,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}]}]}`,
	} {
		_, err := filter([]byte(text), false)
		require.Error(t, err, name)
	}
}

func FuzzProfile(f *testing.F) {
	f.Add(shipped(f))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := filter(text, true)
		if err == nil {
			require.NotEmpty(t, list)
		}
	})
}
