package probe

import (
	"errors"

	"github.com/cilium/ebpf"
)

// objects are the maps and programs that every kernel gets, whatever the backend.
type objects struct {
	captureMaps
	captureVariables

	SlSetState *ebpf.Program `ebpf:"sl_set_state"`
	SlFork     *ebpf.Program `ebpf:"sl_fork"`
	SlExec     *ebpf.Program `ebpf:"sl_exec"`
	SlExit     *ebpf.Program `ebpf:"sl_exit"`
	SlDestroy  *ebpf.Program `ebpf:"sl_destroy"`

	SlTLSRead     *ebpf.Program `ebpf:"sl_tls_read"`
	SlTLSReadEx   *ebpf.Program `ebpf:"sl_tls_read_ex"`
	SlTLSWrite    *ebpf.Program `ebpf:"sl_tls_write"`
	SlTLSWriteEx  *ebpf.Program `ebpf:"sl_tls_write_ex"`
	SlTLSWriteEx2 *ebpf.Program `ebpf:"sl_tls_write_ex2"`
	SlTLSSendfile *ebpf.Program `ebpf:"sl_tls_sendfile"`
	SlTLSReturn   *ebpf.Program `ebpf:"sl_tls_return"`
	SlTLSForget   *ebpf.Program `ebpf:"sl_tls_forget"`
}

// always are the programs that run while anything is mirrored, and keep state right.
func (o *objects) always() []*ebpf.Program {
	return []*ebpf.Program{o.SlFork, o.SlExec, o.SlExit, o.SlDestroy, o.SlSetState}
}

func (o *objects) all() []*ebpf.Program {
	return append(o.always(), o.SlTLSRead, o.SlTLSReadEx, o.SlTLSWrite, o.SlTLSWriteEx, o.SlTLSWriteEx2, o.SlTLSSendfile, o.SlTLSReturn, o.SlTLSForget)
}

// Close lets go of all of them.
func (o *objects) Close() error {
	all := []error{o.captureMaps.Close()}
	for _, program := range o.all() {
		all = append(all, program.Close())
	}
	return errors.Join(all...)
}
