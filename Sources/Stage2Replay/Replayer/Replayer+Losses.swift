internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Events that the ring buffer of a CPU had to drop.

extension Replayer where Backend: ~Copyable {
  /// Events of a CPU were lost since its last one. Any thread may have run there, and unmapped memory of any VM: faults
  /// whose windows reach into that time may have been made to retry.
  mutating func lose(_ record: TraceRecord) {
    let since = lastSequence(of: record.cpu)
    for vm in liveVMs where !vms[vm].isProtected {
      updateWaitingFaults(ofVM: vm) { fault in
        if fault.end >= since { fault.mayBeInvalidated = true }
      }
    }
  }

  /// The place of the CPU's last event before this one in the merged trace, 0 where there is none.
  private func lastSequence(of cpu: CPUIndex) -> UInt64 {
    if sequence - 1 > runStart { return sequence - 1 }
    let index = Int(cpu.rawValue)
    return index < lastSequences.count ? lastSequences[index] : 0
  }

  /// A run of a CPU's events is over.
  mutating func noteRun(of cpu: CPUIndex) {
    let index = Int(cpu.rawValue)
    if index >= lastSequences.count {
      lastSequences.append(contentsOf: repeatElement(0, count: index + 1 - lastSequences.count))
    }
    lastSequences[index] = sequence
  }
}
