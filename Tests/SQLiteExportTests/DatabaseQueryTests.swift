import DatabaseReader
import Foundation
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay
import Testing

/// The queries of the page, on recordings, against the report of the same replay.
@Suite("The queries of the page")
struct DatabaseQueryTests {
  /// The queries of the page, in its order.
  static func queries() throws -> [String] {
    let blocks = try WrittenDatabase.page().components(separatedBy: "```sql\n").dropFirst()
    return blocks.map { $0.components(separatedBy: "\n```")[0] }.filter { !$0.hasPrefix("CREATE") }
  }

  private static func query(_ number: Int) throws -> String {
    let queries = try queries()
    try #require(queries.count == 5)
    return queries[number]
  }

  private static let names = ["pkvm-nvhe-7.3.4-plain-guest", "pkvm-hvhe-7.3.4-16k-plain-guest"]

  @Test("The longest holds to write", arguments: names)
  func holds(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let found = try database.rows(try Self.query(0))
      let told = reports[0].vms.flatMap { vm in (vm.lock?.longestHolds ?? []).map { (vm: vm, hold: $0) } }
        .filter { $0.hold.mode == .write }
        .sorted { ($1.hold.heldNs, $0.hold.timeNs) < ($0.hold.heldNs, $1.hold.timeNs) }
      #expect(found.count == 5)
      for (row, (vm, hold)) in zip(found, told) {
        #expect(row["held_ns"] == DatabaseValue(hold.heldNs) && row["vm"] == DatabaseValue(vm.id))
        #expect(row["tid"] == DatabaseValue(hold.tid) && row["operation"] == .text(hold.operation.name))
        #expect(row["ipa"] == .text("0x" + String(hold.ipa, radix: 16)))
        let command = vm.vcpus.first { $0.tid == hold.tid }?.command
        #expect(row["command"] == command.map(DatabaseValue.text) ?? .null)
      }
    }
  }

  @Test("Faults that mapped pages and blocks, by second", arguments: names)
  func sizes(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let found = try database.rows(try Self.query(1))
      for vm in reports[0].vms {
        let rows = found.filter { $0["vm"] == DatabaseValue(vm.id) }
        let map = vm.operations[.map]
        let mapped = (map?.count ?? 0) - (map?.eagain ?? 0) - (map?.errors ?? 0)
        let (pages, blocks) = (Self.sum("pages", rows), Self.sum("blocks", rows))
        #expect(pages + blocks == mapped)
        // A block covers as many pages as a table of the last level has entries, 512 or 2,048.
        let perBlock = reports[0].inputs[0].pageSize == 4096 ? 512 : 2048
        #expect(UInt64(pages + blocks * perBlock) == map?.pages ?? 0)
        let seconds = rows.compactMap { row in
          if case .integer(let second)? = row["second"] { second } else { nil }
        }
        #expect(Set(seconds).count == rows.count && seconds == seconds.sorted())
      }
      #expect(found.count > 3)
    }
  }

  /// A page that a block or another size maps meanwhile is another mapping, as the page says.
  @Test("Who unmapped what was faulted in again", arguments: names)
  func again(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, _) throws in
      struct Key: Hashable { var vm, ipa, size: DatabaseValue }
      struct Pair: Hashable { var vm, tid, vcpu: DatabaseValue }
      func number(_ value: DatabaseValue?) -> Int64 {
        if case .integer(let number)? = value { number } else { 0 }
      }
      // The same, operation by operation.
      let all = try database.rows(
        "SELECT o.*, f.vcpu, f.time_ns AS begin_ns FROM operations o LEFT JOIN faults f ON f.operation_id = o.id ORDER BY o.time_ns, o.id"
      )
      let unmaps = all.filter { $0["operation"] == "unmap" }
      var last: [Key: Int64] = [:]
      var counts: [Pair: Int] = [:]
      for row in all where row["operation"] == "map" && row["ret"] == 0 {
        let key = Key(vm: row["vm"]!, ipa: row["ipa"]!, size: row["size_bytes"]!)
        let before = last.updateValue(number(row["time_ns"]), forKey: key)
        guard let before, row["vcpu"] != .null else { continue }
        let takers = unmaps.filter {
          $0["vm"] == row["vm"] && number($0["time_ns"]) >= before
            && number($0["time_ns"]) <= number(row["begin_ns"]) && number($0["ipa"]) <= number(row["ipa"])
            && number(row["ipa"]) - number($0["ipa"]) < number($0["size_bytes"])
        }
        for tid in Set(takers.map { $0["tid"]! }) {
          counts[Pair(vm: row["vm"]!, tid: tid, vcpu: row["vcpu"]!), default: 0] += 1
        }
      }
      let found = try database.rows(try Self.query(2))
      #expect(!found.isEmpty && found.count == min(counts.count, 10))
      for row in found {
        let pair = Pair(vm: row["vm"]!, tid: row["unmapped_by"]!, vcpu: row["vcpu"]!)
        #expect(row["mapped_again"] == DatabaseValue(counts[pair]))
      }
    }
  }

  @Test("The most memory of each VM", arguments: names)
  func memory(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let found = try database.rows(try Self.query(3))
      #expect(found.count == reports[0].vms.count)
      for vm in reports[0].vms {
        let row = try #require(found.first { $0["vm"] == DatabaseValue(vm.id) })
        let peak = try #require(vm.memory.totalBytes?.peak)
        #expect(row["total_bytes_peak"] == DatabaseValue(peak))
        #expect(row["memory_basis"] == .text(vm.memory.basis?.name ?? "unknown"))
        guard case .integer(let sampled)? = row["behind_an_operation"] else {
          Issue.record("no memory of VM \(vm.id)")
          continue
        }
        #expect(sampled <= peak && sampled > peak / 2)
        // As the series of the report, at the ends of intervals.
        #expect(sampled >= vm.memory.series?.map(\.totalBytes).max() ?? 0)
      }
    }
  }

  @Test("How much of each operation is derived", arguments: names)
  func derived(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let found = try database.rows(try Self.query(4))
      #expect(found.count == reports[0].vms.reduce(0) { $0 + $1.operations.count })
      for vm in reports[0].vms {
        for (kind, operation) in vm.operations {
          let row = try #require(
            found.first { $0["vm"] == DatabaseValue(vm.id) && $0["operation"] == .text(kind.name) })
          #expect(row["count"] == DatabaseValue(operation.count))
          #expect(row["derived"] == DatabaseValue(operation.basis[.derived]))
        }
      }
    }
  }

  private static func sum(_ column: String, _ rows: [[String: DatabaseValue]]) -> Int {
    rows.reduce(0) { sum, row in
      if case .integer(let number)? = row[column] { sum + Int(number) } else { sum }
    }
  }
}
