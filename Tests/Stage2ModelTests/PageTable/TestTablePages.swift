import KVMTypes

@testable import Stage2Model

/// EL2's way of getting tables, reduced to what the table sees: a pool first, then a cache that can run dry.
struct TestTablePages: TablePages {
  static var hasFreeUnlinkedTable: Bool { false }
  var hasMemcache = true
  var cache: Int
  var pool = 0
  var takenByLevel: [Int8: Int] = [:]
  var freedByLevel: [Int8: Int] = [:]

  init(cache: Int) { self.cache = cache }

  var sparePages: Int { cache + pool }

  mutating func takePage(level: TranslationLevel) -> Bool {
    if pool > 0 {
      pool -= 1
    } else if cache > 0 {
      cache -= 1
    } else {
      return false
    }
    takenByLevel[level.rawValue, default: 0] += 1
    return true
  }

  mutating func freePage(level: TranslationLevel) {
    pool += 1
    freedByLevel[level.rawValue, default: 0] += 1
  }
}

/// Like the above, with tables that may be unlinked.
struct CollapsingTablePages: TablePages {
  static var hasFreeUnlinkedTable: Bool { true }
  var inner: TestTablePages

  init(cache: Int) { inner = TestTablePages(cache: cache) }

  var hasMemcache: Bool { inner.hasMemcache }
  var sparePages: Int { inner.sparePages }
  mutating func takePage(level: TranslationLevel) -> Bool { inner.takePage(level: level) }
  mutating func freePage(level: TranslationLevel) { inner.freePage(level: level) }
}

extension Stage2Geometry {
  /// A geometry that is known to exist.
  static func of(_ pageSize: PageSize, _ bits: Int) -> Stage2Geometry {
    try! Stage2Geometry(pageSize: pageSize, ipaBits: bits)
  }
}

let page: UInt64 = 4096
let pmd: UInt64 = 2 << 20
let pud: UInt64 = 1 << 30
