package import KVMTypes

/// From when on nothing of a recording is certain, because it is damaged: what a replay finds in its first pass, and what a copy has to
/// say, for the damage is not in it.
///
/// Behind a damaged place anything may be missing until the end, as far as no loss tells where that is. What is in doubt begins with the
/// last event of the CPU before.
package struct DamageDoubt {
  /// What is known of a CPU.
  private struct CPU {
    /// When the last event of it was that a replay reads; 0 for none.
    var last = Nanoseconds(0)
    /// How many damaged places its events had so far.
    var damageCount = 0
  }

  private static let selection = EventSelection.replay(probes: false)
  private var cpus: [CPU] = []
  /// The beginning of what is in doubt, nil where nothing is.
  package private(set) var begin: Nanoseconds?

  /// Nothing is in doubt.
  package init() {}

  /// Takes in the next run, which is of one CPU.
  package mutating func note(_ run: EventRun) {
    let cpu = Int(run[0].cpu.rawValue)
    while cpus.count <= cpu { cpus.append(CPU()) }
    if run.damageCount > cpus[cpu].damageCount {
      cpus[cpu].damageCount = run.damageCount
      // Where the time went back, what came before in the file is as doubtful.
      doubt(from: min(cpus[cpu].last, run[0].time))
    }
    let last = (0..<run.count).last { Self.selection.includes(run[$0].kind) }
    if let last { cpus[cpu].last = run[last].time }
  }

  /// All runs have been taken in. Behind the last event of a CPU whose buffer is damaged nothing is certain, nor behind that of any where
  /// it is not known of which CPU the damage is.
  ///
  /// - Parameters:
  ///   - places: the damaged places of which no run tells.
  ///   - cpuCount: how many processors the host had.
  package mutating func finish(_ places: [Damage], cpuCount: Int) {
    for cpu in places.compactMap(\.cpu) { doubt(from: last(ofCPU: Int(cpu))) }
    guard places.contains(where: { $0.cpu == nil }) else { return }
    // Of a CPU without events it is not known from the beginning what it did.
    for cpu in 0..<max(cpuCount, cpus.count) { doubt(from: last(ofCPU: cpu)) }
  }

  private func last(ofCPU cpu: Int) -> Nanoseconds { cpu < cpus.count ? cpus[cpu].last : Nanoseconds(0) }

  private mutating func doubt(from time: Nanoseconds) { begin = min(begin ?? time, time) }
}
