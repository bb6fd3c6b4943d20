package import KVMTypes
import SeededRandom
package import Stage2Model

/// One host for which random operations are run on the traditional backend and its oracle.
package struct TraditionalCase: Sendable, CustomStringConvertible {
  package var pageSize: PageSize
  package var ipaBits: Int
  package var features: Stage2Features

  /// Page sizes, start levels and CPU features that change what must happen.
  package static let all: [TraditionalCase] = [
    TraditionalCase(pageSize: .size4K, ipaBits: 40, features: Stage2Features()),
    TraditionalCase(pageSize: .size4K, ipaBits: 33, features: Stage2Features(hasTLBIRange: true)),
    TraditionalCase(
      pageSize: .size4K, ipaBits: 52, features: Stage2Features(hasFWB: true, hasTLBIRange: true)),
    TraditionalCase(pageSize: .size16K, ipaBits: 40, features: Stage2Features(hasFWB: true)),
    TraditionalCase(pageSize: .size16K, ipaBits: 48, features: Stage2Features(hasTLBIRange: true)),
    TraditionalCase(pageSize: .size64K, ipaBits: 48, features: Stage2Features()),
    TraditionalCase(pageSize: .size4K, ipaBits: 40, features: Stage2Features(relaxPermsTakesExecute: true)),
  ]

  package var description: String {
    var words = ["\(pageSize.bytes >> 10)K", "\(ipaBits) bits"]
    if features.hasFWB { words.append("FWB") }
    if features.hasTLBIRange { words.append("TLBI range") }
    if features.relaxPermsTakesExecute { words.append("relaxation takes execute") }
    return words.joined(separator: " ")
  }

  package func makeModel() -> TraditionalStage2 {
    guard let geometry = try? Stage2Geometry(pageSize: pageSize, ipaBits: ipaBits) else {
      fatalError("no geometry for \(self)")
    }
    return TraditionalStage2(geometry: geometry, features: features)
  }

  package func makeOracle() -> TraditionalOracle {
    // Written out, not computed as the model does.
    let sizes: [UInt64] =
      switch pageSize {
      case .size4K: [512 << 30, 1 << 30, 2 << 20, 4096]
      case .size16K: [128 << 40, 64 << 30, 32 << 20, 16384]
      case .size64K: [1 << 55, 4 << 40, 512 << 20, 65536]
      }
    let (startLevel, pgdPages) =
      switch (pageSize, ipaBits) {
      case (.size4K, 33): (2, 8)
      case (.size4K, 40): (1, 2)
      case (.size4K, 52): (0, 16)
      case (.size16K, 40): (2, 16)
      case (.size16K, 48): (1, 2)
      case (.size64K, 48): (1, 1)
      default: fatalError("the oracle does not know the shape of \(self)")
      }
    return TraditionalOracle(
      pageSize: sizes[3], limit: 1 << UInt64(ipaBits), sizes: sizes, startLevel: startLevel,
      pgdPages: pgdPages, hasFWB: features.hasFWB, hasTLBIRange: features.hasTLBIRange,
      relaxPermsTakesExecute: features.relaxPermsTakesExecute)
  }
}

extension TraditionalCase {
  /// Runs `steps` random operations on the model and the oracle, compares results after each and everything
  /// after every `checkEvery`, then ends the VM and expects that nothing is left.
  package func run(seed: UInt64, steps: Int, checkEvery: Int = 1) throws(OracleMismatch) {
    var random = SplitMix64(seed: seed)
    var model = makeModel()
    var oracle = makeOracle()
    for step in 0..<steps {
      let operation = TraditionalOperation.random(&random, oracle)
      let got = operation.apply(&model)
      let wanted = operation.apply(&oracle)
      var problems: [String] = []
      if got != wanted { problems.append("returned \(got), not \(wanted)") }
      compareCounts(&model, oracle, &problems)
      if problems.isEmpty, step % checkEvery == checkEvery - 1 || step == steps - 1 {
        compareAll(&model, oracle, random.below(oracle.limit), &problems)
      }
      if !problems.isEmpty {
        throw OracleMismatch(
          description:
            "\(self), seed \(seed), step \(step), \(operation): \(problems.joined(separator: "; "))")
      }
    }
    if let problem = end(&model) {
      throw OracleMismatch(description: "\(self), seed \(seed), at the end: \(problem)")
    }
  }

  /// The VM ends: every page goes back.
  private func end(_ model: inout TraditionalStage2) -> String? {
    model.drainUnlinkedTables()
    model.destroyRange(IPA(0), size: 1 << UInt64(ipaBits))
    model.destroyPGD()
    for vcpu in 0..<3 { model.freeMemcache(vcpu: VCPUIndex(vcpu)) }
    model.freeSplitCache()
    if model.memory.allPages.live != 0 { return "\(model.memory.allPages.live) pages are left" }
    if model.memory.totalBytes.live != 0 { return "\(model.memory.totalBytes.live) bytes are left" }
    return model.checkInvariants().first
  }

  /// What is cheap to compare.
  private func compareCounts(
    _ model: inout TraditionalStage2, _ oracle: TraditionalOracle, _ problems: inout [String]
  ) {
    let counters = model.counters
    for (what, got, wanted) in [
      ("tlbiVMID", counters.tlbiVMID, oracle.tlbiVMID), ("tlbiIPA", counters.tlbiIPA, oracle.tlbiIPA),
      ("tlbiIPANonShareable", counters.tlbiIPANonShareable, oracle.tlbiNonShareable),
      ("tlbiRange", counters.tlbiRange, oracle.tlbiRange),
      ("dcachePages", counters.dcachePages, oracle.dcachePages),
      ("icachePages", counters.icachePages, oracle.icachePages),
    ] where got != wanted {
      problems.append("\(what) is \(got), not \(wanted)")
    }
  }

  /// Every leaf, table and page, and the model's own invariants.
  private func compareAll(
    _ model: inout TraditionalStage2, _ oracle: TraditionalOracle, _ probe: UInt64,
    _ problems: inout [String]
  ) {
    problems += model.checkInvariants()
    func compare<Value: Equatable>(_ what: String, _ got: Value, _ wanted: Value) {
      if got != wanted { problems.append("\(what): \(got), not \(wanted)") }
    }
    let leaves = model.table.leaves()
    compare("leaves", leaves.map(\.ipa.rawValue), oracle.leaves.keys.sorted())
    for leaf in leaves {
      guard let wanted = oracle.leaves[leaf.ipa.rawValue] else { continue }
      let found = TraditionalOracle.Leaf(
        level: Int(leaf.level.rawValue), frame: leaf.descriptor.pfn?.rawValue,
        rights: leaf.descriptor.prot.intersection(.rwx), isDevice: leaf.descriptor.rawValue >> 2 & 0xf == 1,
        software: leaf.descriptor.softwareBits, young: leaf.descriptor.isYoung)
      compare("\(leaf.ipa)", found, wanted)
    }
    var tables: [Int: Int] = [:]
    for (level, count) in model.table.recountTables() { tables[Int(level.rawValue)] = count }
    compare("tables", tables, oracle.tableCounts())
    compare("walk of \(probe)", model.walk(IPA(probe)), oracle.walk(probe))
    let memory = model.memory
    let spare = oracle.caches.values.reduce(oracle.splitCache, +)
    let tablePages = oracle.tableCounts().values.reduce(0, +)
    compare("table pages", memory.tables.live, tablePages)
    compare("SecPageTables", memory.secPageTables.live, oracle.pgdPages + tablePages)
    compare("pages", memory.allPages.live, oracle.pgdPages + tablePages + spare)
    compare("empty caches", model.warnings.count(of: .emptyMemoryCache), oracle.emptyCacheWarnings)
  }
}
