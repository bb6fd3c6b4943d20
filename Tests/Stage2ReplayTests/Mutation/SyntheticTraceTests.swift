import KVMTypes
import Stage2Replay
import Testing
import TraceMutation
import TraceSynth

/// The synthesizer makes traces in which nothing is wrong; `tools/sensitivity --synthetic 1000` replays many more.
@Suite("Synthetic traces")
struct SyntheticTraceTests {
  @Test("Nothing diverges, whatever the shape of the trace", arguments: 1...40 as ClosedRange<UInt64>)
  func clean(seed: UInt64) throws {
    var traces = SyntheticTraces()
    traces.events = 600
    let result = try traces.replay(seed: seed)
    #expect(result.divergences.unexplained == 0, "\(result.divergences.items.first.debugDescription)")
    #expect(result.vms.reduce(0) { $0 + $1.faults.total } > 20)
    #expect(result.vms.count <= traces.shape(seed: seed).0.vms)
  }

  @Test("Shapes differ: page sizes, losses, VMs, access flags")
  func shapes() {
    let shapes = (1...40).map { SyntheticTraces().shape(seed: $0).0 }
    #expect(Set(shapes.map(\.pageSize)).count == 3)
    #expect(Set(shapes.map(\.vms)) == [1, 2, 3])
    #expect(Set(shapes.map(\.hardwareAccessFlag)) == [false, true])
    #expect(shapes.contains { $0.losses > 0 })
  }
}
