internal import KVMTypes
public import Stage2Replay

/// The series of a replay as tables, one for each CSV file that `replay --csv` writes.
public struct SeriesTable: Sendable {
  /// The file's name.
  public let name: String
  /// The names of the columns.
  public let header: [String]
  /// The rows, in the order of VMs and time.
  public let rows: [[String]]

  /// The table as CSV.
  public var csv: String {
    ([header] + rows).map { $0.map(Safe.cell).joined(separator: ",") + "\n" }.joined()
  }

  /// The names of all series, in the order of `tables`.
  public static let names = ["memory.csv", "lock.csv", "working-set.csv", "first-touch.csv", "idle.csv"]

  /// All series of `result`.
  public static func tables(_ result: ReplayResult) -> [SeriesTable] {
    let grid = result.grid
    return [
      memory(result.vms, grid), lock(result.vms, grid), touches(result.vms, grid),
      firstTouches(result.vms, grid), idle(result.vms, grid),
    ]
  }

  private static func memory(_ vms: [VMResult], _ grid: TimeGrid) -> SeriesTable {
    // Of a VM of which nothing tells what is mapped there is no row, rather than one of zeros.
    let rows = vms.filter(\.isTableKnown).flatMap { vm in
      vm.memorySeries.samples.enumerated().map { offset, sample in
        [String(vm.id), String(grid.end(of: vm.memorySeries.first + offset).rawValue)]
          + [
            sample.pageMappings, sample.blockMappings, sample.mappingTreeBytes, sample.tablePages,
            sample.memcachePages, sample.totalBytes,
          ].map(String.init)
      }
    }
    return SeriesTable(
      name: "memory.csv",
      header: [
        "vm", "time\(grid.unitSuffix)", "pageMappings", "blockMappings", "mappingTreeBytes", "tablePages",
        "memcachePages",
        "totalBytes",
      ], rows: rows)
  }

  private static func lock(_ vms: [VMResult], _ grid: TimeGrid) -> SeriesTable {
    let rows = vms.flatMap { vm -> [[String]] in
      guard let lock = vm.lock else { return [] }
      return lock.series.sorted { $0.key < $1.key }.map { index, sample in
        let entry = ReplayReport.LockSeriesEntry(sample, of: lock, at: grid.start(of: index))
        // An empty cell is what was not recorded.
        return [String(vm.id), String(entry.timeNs)]
          + [entry.readHeldNs, entry.writeHeldNs, entry.readWaitNs, entry.writeWaitNs].map {
            $0.map { String($0) } ?? ""
          }
      }
    }
    return SeriesTable(
      name: "lock.csv",
      header: ["vm", "timeNs", "readHeldNs", "writeHeldNs", "readWaitNs", "writeWaitNs"], rows: rows)
  }

  private static func touches(_ vms: [VMResult], _ grid: TimeGrid) -> SeriesTable {
    let rows = vms.flatMap { vm in
      vm.workingSet.samples.sorted { $0.key < $1.key }.map { index, sample in
        [String(vm.id), String(grid.start(of: index).rawValue), String(sample.touched), String(sample.first)]
      }
    }
    return SeriesTable(
      name: "working-set.csv", header: ["vm", "time\(grid.unitSuffix)", "touchedPages", "firstTouchedPages"],
      rows: rows)
  }

  private static func firstTouches(_ vms: [VMResult], _ grid: TimeGrid) -> SeriesTable {
    let rows = vms.flatMap { vm in
      vm.workingSet.firstTouches.map { [UInt64(vm.id), $0.time.rawValue, $0.gfn.rawValue].map(String.init) }
    }
    return SeriesTable(
      name: "first-touch.csv", header: ["vm", "time\(grid.unitSuffix)", "gfn"], rows: rows)
  }

  private static func idle(_ vms: [VMResult], _ grid: TimeGrid) -> SeriesTable {
    let rows = vms.flatMap { vm in
      vm.workingSet.idle.sorted { $0.key < $1.key }.map { intervals, pages in
        [String(vm.id), String(UInt64(intervals) * grid.interval.rawValue), String(pages)]
      }
    }
    return SeriesTable(name: "idle.csv", header: ["vm", "idle\(grid.unitSuffix)", "pages"], rows: rows)
  }
}

extension TimeGrid {
  /// What the names of columns of times end in. There is no table of times under the lock by a clock that counts ticks.
  fileprivate var unitSuffix: String { isOfTicks ? "Ticks" : "Ns" }
}
