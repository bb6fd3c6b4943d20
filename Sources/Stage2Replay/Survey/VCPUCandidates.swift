internal import KVMTypes

/// The VMs that a thread's vCPU may be of, while that is open, and what speaks against each.
struct VCPUCandidates {
  struct Candidate {
    var vm: VMIndex
    /// Faults that lie where the VM has no memory, without being device accesses, or the reverse.
    var contradictions = 0
  }

  var list: [Candidate] = []
  /// Faults that the candidates were held against.
  var faults = 0

  /// The more of the rivals of a thread are a VM's vCPUs, the more speaks against that one.
  mutating func contradict(_ vm: VMIndex, by count: Int) {
    guard let place = list.firstIndex(where: { $0.vm == vm }) else { return }
    list[place].contradictions += count
  }

  /// The VMs that clearly less contradicts than the others.
  ///
  /// - Parameters:
  ///   - tid: the thread.
  ///   - creator: the thread that created a VM.
  ///   - command: the name of a thread, where the trace has it.
  func likely(
    _ tid: ThreadID, creator: (VMIndex) -> ThreadID, command: (ThreadID) -> String?
  ) -> [VMIndex] {
    // Slots that come and go under the vCPUs' hands contradict the right VM, too, now and then.
    let most = 2 * (list.lazy.map(\.contradictions).min() ?? 0) + faults / 16
    let likely = list.filter { $0.contradictions <= most && creator($0.vm) <= tid }.map(\.vm)
    guard let name = command(tid) else { return likely }
    let namesakes = likely.filter { command(creator($0)) == name }
    return namesakes.isEmpty ? likely : namesakes
  }
}
