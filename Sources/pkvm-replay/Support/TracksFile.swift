import KVMTrace
import KVMTypes
import PerfettoExport
import Stage2Replay

/// The file that `replay --perfetto` writes: the tracks of each input, one behind the other.
final class TracksFile {
  private var output: Output
  private let inputs: Int

  /// - Parameter inputs: how many inputs there are.
  init(_ target: OutputTarget, inputs: Int) throws {
    self.inputs = inputs
    output = try Output(target)
  }

  /// The tracks of an input.
  ///
  /// - Parameter vms: the VMs that are asked for, nil for all.
  func tracks(of trace: TraceFile, position: Int, vms: Set<Int>?) -> ReplayTracks {
    let clock = RecordingClock(trace.clock?.name, isNanoseconds: trace.clock?.isNanoseconds ?? true)
    if let doubt = clock.doubt { Diagnostics.note("\(trace.path): \(doubt)") }
    let name = trace.path == "-" ? "standard input" : trace.path.split(separator: "/").last.map(String.init)
    let input = ReplayTracks.Input(
      name: name ?? trace.path, position: position, isOneOfSeveral: inputs > 1, clock: clock,
      command: { trace.command(of: $0) })
    return ReplayTracks(input, vms: vms) { try self.output.write($0) }
  }

  func finish() throws { try output.finish() }
}
