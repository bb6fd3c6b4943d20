import DatabaseReader
import Foundation
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

@testable import SQLiteExport

/// The tables, and how values are stored in them.
@Suite("The layout of the database")
struct SchemaTests {
  @Test("It is what the page has, word for word")
  func documented() throws {
    let blocks = try WrittenDatabase.page().components(separatedBy: "```sql\n").dropFirst()
      .map { $0.components(separatedBy: "\n```")[0] }
    let documented = try #require(blocks.first { $0.hasPrefix("CREATE TABLE") })
    let real = try WrittenDatabase.read(rows: { _ in }) { (database) throws in
      try database.rows("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
    }
    let texts = real.compactMap { row in if case .text(let text)? = row["sql"] { text + ";" } else { nil } }
    #expect(texts.count == 21 && texts.joined(separator: "\n") == documented)
  }

  @Test("Tables are strict, and the file says whose it is")
  func identity() throws {
    try WrittenDatabase.read(rows: { _ in }) { (database) throws in
      let strict = try database.number(
        "SELECT min(strict) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'"
      )
      #expect(strict == 1)
      #expect(try database.number("PRAGMA application_id") == 1_347_114_578)
      #expect(try database.number("PRAGMA user_version") == 1)
    }
    #expect(!ReplayDatabase.isOne(prefix: Array("SQLite format 3\0".utf8)))
    #expect(!ReplayDatabase.isOne(prefix: Array("SQLite format 3\0".utf8) + Array(repeating: 0, count: 56)))
  }

  @Test("What is 2^63 or more is stored by its bits, what is not known as NULL")
  func values() throws {
    try WrittenDatabase.read(rows: { database in
      let rows = try database.rows(of: 3, vms: [1])
      for vm in 0...1 {
        try rows.add(
          Stage2Operation(
            time: Nanoseconds(.max), cpu: CPUIndex(1), tid: ThreadID(2), vm: vm, kind: .testClearYoung,
            address: IPA(1 << 63 | 5), size: 0, prot: nil, result: -11, basis: .assumed))
      }
      try rows.finish()
    }) { (database) throws in
      let rows = try database.rows(
        "SELECT *, printf('%u', ipa) AS address, printf('%x', time_ns) AS time FROM operations")
      #expect(rows.count == 1 && rows[0]["recording"] == 3 && rows[0]["vm"] == 1 && rows[0]["id"] == 1)
      #expect(rows[0]["address"] == "9223372036854775813" && rows[0]["time"] == "ffffffffffffffff")
      #expect(rows[0]["size_bytes"] == .null && rows[0]["prot"] == .null && rows[0]["ret"] == -11)
      #expect(rows[0]["operation"] == "test_clear_young" && rows[0]["basis"] == "assumed")
    }
  }

  @Test("The queries of the page use the indexes that there are")
  func plans() throws {
    try WrittenDatabase.read(rows: { _ in }) { (database) throws in
      let steps = try DatabaseQueryTests.queries().flatMap { query in
        try database.rows("EXPLAIN QUERY PLAN \(query)").map { $0["detail"] }
      }
      for index in ["unmaps", "faults_of_operations"] {
        let isUsed = steps.contains { step in
          if case .text(let detail)? = step { detail.contains(" INDEX \(index) ") } else { false }
        }
        #expect(isUsed, "\(index)")
      }
    }
  }
}
