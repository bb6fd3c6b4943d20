import Foundation
import KVMTrace
import Testing

/// What the first bytes of a file are taken for.
@Suite("Signatures of recordings")
struct RecordingSignatureTests {
  @Test("Formats with a magic number")
  func magics() {
    #expect(RecordingSignature(prefix: [0x17, 0x08, 0x44] + Array("tracing6".utf8)) == .traceDat)
    #expect(RecordingSignature(prefix: Array("PERFILE2h\0\0\0".utf8)) == .perfData)
    #expect(RecordingSignature(prefix: Array("2ELIFREP\0\0".utf8)) == .perfData)
    #expect(RecordingSignature(prefix: [0x1f, 0x8b, 8, 0]) == .compressed)
    #expect(RecordingSignature(prefix: [0x28, 0xb5, 0x2f, 0xfd, 4]) == .compressed)
  }

  @Test("Perfetto traces have none, but packets")
  func perfetto() {
    // trusted_packet_sequence_id (10, varint); then a packet with ftrace_events (1, bytes) that goes on behind the prefix.
    #expect(RecordingSignature(prefix: [0x0a, 0x02, 0x50, 0x01, 0x0a, 0x80, 0x02, 0x0a, 0x10]) == .perfetto)
    #expect(RecordingSignature(prefix: [0x0a, 0x90, 0x40, 0x0a, 0x8d, 0x40, 0x08]) == .perfetto)
  }

  @Test(
    "Text that tracers and their tools write",
    arguments: [
      "# tracer: nop\n#\n", "cpus=2\n          <idle>-0     [001]   100.000002: kvm_entry: PC: 0x0\n",
      "   qemu-system-aar-136 [000] d..1.    59.445129: kvm_guest_fault: ipa 0x43e00000\n",
      "CPU 0/KVM   136 [001]    59.445129:      kvm:kvm_entry: PC: 0xffff\n", "version = 7\ncpus=4\n",
      "             vmm     138 [001]    48.568915:      1 kvm:kvm_entry: PC: 0x1\n",
      "             vmm     138    48.568915:           kvm:kvm_entry: PC: 0x1\n",
      "     vmm-138       1...1.    48.522105: kvm_entry: PC: 0x1\n",
      "             vmm-138     (    138) [001] ...1. 48522105: kvm_entry: PC: 0x1\n",
    ])
  func text(content: String) {
    #expect(RecordingSignature(prefix: Array(content.utf8)) == .text)
  }

  @Test("What has zero bytes is no report, whatever it is: a per-CPU buffer has no mark")
  func binary() {
    #expect(RecordingSignature(prefix: [0x12, 0x34, 0, 0, 7, 0]) == .binary)
  }

  @Test(
    "Reports may be replaced",
    arguments: [
      "", "\n", "{\n  \"agreement\" : {",
      "timeNs,cpu,tid,vm,operation,address,size,prot,ret,basis\n1,0,9,0,map,4096",
      "traces/a.dat\n  trace       580,864 events in 81.10 s, complete\n", "\n{\"a\": 1}", "\n\n\n\n",
      "<!doctype html>",
      "vm,timeNs\n0,12.345678\n",
      "2026-11-30 10:05:39 ERROR 42: parse: no such file\n", "Nov 30 10:05:39 host app[12]: 3: a: b\n",
      "step 12 345: https://example.org/a: b\n", "INFO-7 3 of 9 12: built: yes\n",
    ])
  func reports(content: String) {
    #expect(RecordingSignature(prefix: Array(content.utf8)) == nil)
  }
}
