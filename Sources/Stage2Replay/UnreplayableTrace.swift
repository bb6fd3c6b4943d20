public import KVMTrace

/// Why a trace, though it is one, has nothing that could be replayed: what is recorded is no arm64 KVM host.
public struct UnreplayableTrace: Error, Hashable, CustomStringConvertible {
  /// The trace, the host and the reason in one line.
  public let description: String

  /// The host is a machine of another architecture, as `uname` says.
  public init?(machineOf trace: some EventSource) {
    let host = TracedHost(uname: trace.uname)
    guard let machine = host.machine, !TracedHost.armMachines.contains(machine) else { return nil }
    description =
      "\(trace.path): was recorded on \(host.words), no arm64 host: there is no stage 2 to replay; info and events read it"
  }

  /// Nothing is damaged or lost, and there is no event of KVM.
  init?(_ trace: some EventSource, _ result: ReplayResult, _ statistics: EventStatistics) {
    guard !result.sawKVM, trace.damage.isEmpty, statistics.damage.isEmpty, statistics.lossCount == 0 else {
      return nil
    }
    let host = TracedHost(uname: trace.uname).words
    description =
      trace.hasForeignKVMEvents
      ? "\(trace.path): its kvm events are not those of an arm64 host (\(host)): there is no stage 2 to replay; "
        + "info and events read it"
      : "\(trace.path): has no kvm event (\(host)): there is nothing to replay; the page Recording says what to record"
  }
}

/// The host that a trace was recorded on, in the words of `uname`: "Linux HOST RELEASE MACHINE".
private struct TracedHost {
  static let armMachines: Set<Substring> = ["aarch64", "aarch64_be", "arm64"]

  private let fields: [Substring]

  init(uname: String) { fields = uname.split(separator: " ") }

  /// Nil where it was not recorded.
  var machine: Substring? { fields.count >= 4 ? fields.last : nil }

  /// "HOST (Linux 6.1.0, x86_64)".
  var words: String {
    guard fields.count >= 4 else { return "the trace does not name its host" }
    return "\(fields[1]), \(fields[0]) \(fields[2]), \(fields[fields.count - 1])"
  }
}
