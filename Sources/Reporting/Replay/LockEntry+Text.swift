internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// The time under a VM's lock, as far as the trace recorded it.
  ///
  /// - Parameter spanNs: the time from the first to the last event.
  func write(_ lock: LockEntry, spanNs: UInt64, _ page: inout TextPage) {
    let rows =
      lock.byOperation.sorted { ($1.value.totalNs, $0.key.word) < ($0.value.totalNs, $1.key.word) }.map {
        kind, hold in
        Self.row(
          "in \(kind.name)", hold.mode, hold.count, hold.totalNs,
          [hold.p50Ns, hold.p99Ns, hold.p999Ns, hold.maxNs])
      } + Self.untimedRows(lock)
      + [(LockMode.read, lock.read), (.write, lock.write)].compactMap { mode, entry in
        guard let entry, let waits = entry.waits, let total = entry.waitNs else { return nil }
        return Self.row(
          "waits", mode, waits, total,
          [entry.waitP50Ns, entry.waitP99Ns, entry.waitP999Ns, entry.waitMaxNs].compactMap(\.self))
      }
    guard !rows.isEmpty else { return }
    page.blank()
    page.line("time under mmu_lock, recorded on that host" + Self.held(lock, spanNs: spanNs))
    page.table(
      header: ["", "mode", "count", "total", "p50", "p99", "p99.9", "longest"],
      alignRight: [false, false, true, true, true, true, true, true], rows: rows)
    if lock.byOperation.values.contains(where: { $0.modeBasis == .assumed }) {
      page.line("  how faults took the lock is assumed: the trace does not show it")
    }
    Self.writeUntold(lock, &page)
    if !lock.longestHolds.isEmpty { Self.write(lock.longestHolds, &page) }
    if !lock.longestWaits.isEmpty { Self.write(lock.longestWaits, &page) }
  }

  /// ": held to write 9.7 % of the trace's 81.10 s, 25.2 % of the VM's 31.20 s".
  private static func held(_ lock: LockEntry, spanNs: UInt64) -> String {
    guard let share = lock.utilisation else { return "" }
    let all = ": held to write \(Quantity.share(share)) of the \(Quantity.duration(spanNs)) replayed"
    guard lock.lifeNs < spanNs, let ofLife = lock.lifeUtilisation else { return all }
    return all + ", \(Quantity.share(ofLife)) of the \(Quantity.duration(lock.lifeNs)) that the VM was there"
  }

  /// The functions that probes told of, but not how long they ran.
  private static func untimedRows(_ lock: LockEntry) -> [[String]] {
    (lock.untimed ?? [:]).sorted { $0.key.word < $1.key.word }.compactMap { kind, calls in
      calls.count.map {
        ["in \(kind.name)", calls.mode.word, Quantity.count($0)] + Array(repeating: "unknown", count: 5)
      }
    }
  }

  /// The functions that no probe told of.
  private static func writeUntold(_ lock: LockEntry, _ page: inout TextPage) {
    let untold = (lock.untimed ?? [:]).filter { $0.value.count == nil }.map(\.key.name).sorted()
    if lock.byOperation.isEmpty {
      page.line("  how long it was held is unknown: no probe recorded that")
    } else if !untold.isEmpty {
      page.line("  not recorded, and in no figure: what \(untold.joined(separator: ", ")) took")
    }
  }

  private static func write(_ holds: [LongHoldEntry], _ page: inout TextPage) {
    page.blank()
    page.table(
      header: ["longest holds", "held", "mode", "thread", "CPU", "in", "IPA"],
      alignRight: [true, true, false, true, true, false, false],
      rows: holds.map {
        [
          Quantity.seconds($0.timeNs), Quantity.duration($0.heldNs), $0.mode.word, String($0.tid),
          String($0.cpu),
          $0.operation.name, hex($0.ipa),
        ]
      })
  }

  private static func write(_ waits: [LongWaitEntry], _ page: inout TextPage) {
    page.blank()
    page.table(
      header: ["longest waits", "waited", "mode", "thread", "CPU", "for", "IPA", "behind"],
      alignRight: [true, true, false, true, true, false, false, false],
      rows: waits.map { wait in
        [
          Quantity.seconds(wait.timeNs), Quantity.duration(wait.waitedNs), wait.mode.word, String(wait.tid),
          String(wait.cpu), wait.operation?.name ?? "unknown", wait.ipa.map(hex) ?? "unknown",
          wait.holder.map { "\($0.operation.name) by \($0.tid)" } ?? "unknown",
        ]
      })
  }

  private static func row(
    _ name: String, _ mode: LockMode, _ count: Int, _ totalNs: UInt64, _ durations: [UInt64]
  ) -> [String] {
    [name, mode.word, Quantity.count(count), Quantity.duration(totalNs)] + durations.map(Quantity.duration)
  }
}
