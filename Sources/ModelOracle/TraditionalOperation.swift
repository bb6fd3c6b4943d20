package import KVMTypes
package import SeededRandom
package import Stage2Model

/// One call of the backend.
package enum TraditionalOperation: CustomStringConvertible {
  case map(UInt64, UInt64, UInt64?, Stage2Prot, vcpu: Int)
  case unmap(UInt64, UInt64)
  case wrprotect(UInt64, UInt64)
  case relax(UInt64, Stage2Prot)
  case mkyoung(UInt64)
  case age(UInt64, UInt64, Bool)
  case flush(UInt64, UInt64)
  case split(UInt64, UInt64)
  case topUp(Int, Int)
  case topUpSplit(Int)
  case drain
  case destroy(UInt64, UInt64)

  package static func random(_ random: inout SplitMix64, _ oracle: TraditionalOracle) -> TraditionalOperation
  {
    let sizes = oracle.sizes
    // Three places far apart, a few blocks in each, a few pages in each block: operations meet.
    let places: [UInt64] = [0, sizes[1], oracle.limit - sizes[1].clamped(to: sizes[2]...(oracle.limit / 2))]
    var ipa = places[Int(random.below(3))] + random.below(3) * sizes[2] + random.below(4) * sizes[3]
    if ipa >= oracle.limit { ipa = oracle.limit - sizes[3] }
    let vcpu = Int(random.below(3))
    func block() -> UInt64 { ipa / sizes[2] * sizes[2] }
    // A block whose frame is not aligned to it becomes thousands of leaves, and the oracle looks at every leaf
    // for each: only small blocks are misaligned.
    func frame(_ ipa: UInt64, size: UInt64) -> UInt64? {
      if random.chance(20) { return nil }
      let moved: UInt64 =
        random.chance(20)
        ? sizes[1] / sizes[3] : random.chance(10) ? (size <= 2 << 20 ? 1 : min(size, sizes[2]) / sizes[3]) : 0
      // Below 2^40, where real frames are.
      return ipa / sizes[3] % (1 << 38) + moved
    }
    func rangeSize() -> UInt64 {
      let choices: [UInt64] = [1, sizes[3], 3 * sizes[3], sizes[2], 2 * sizes[2] + sizes[3], sizes[1]]
      return choices[Int(random.below(UInt64(choices.count)))]
    }
    let prots: [Stage2Prot] = [
      .read, .rw, .rw, .rwx, [.read, .execute], [.read, .write, .device], [.read, .write, .software1],
      [.read, .device, .execute], [.read, .userExecute],
    ]
    let prot = prots[Int(random.below(random.chance(85) ? 5 : UInt64(prots.count)))]
    // The oracle looks at every leaf: do not let splits pile them up.
    if oracle.leaves.count > 700, random.chance(40) { return .unmap(ipa, sizes[1]) }
    switch random.below(100) {
    case 0..<30: return .map(ipa, sizes[3], frame(ipa, size: sizes[3]), prot, vcpu: vcpu)
    case 30..<42: return .map(block(), sizes[2], frame(block(), size: sizes[2]), prot, vcpu: vcpu)
    case 42..<44:
      let base = ipa / sizes[1] * sizes[1]
      return oracle.pageSize == 4096
        ? .map(base, sizes[1], frame(base, size: sizes[1]), prot, vcpu: vcpu)
        : .map(block(), 2 * sizes[2], frame(block(), size: 2 * sizes[2]), prot, vcpu: vcpu)
    case 44..<47: return .map(ipa, 5 * sizes[3], frame(ipa, size: 5 * sizes[3]), prot, vcpu: vcpu)
    case 47..<57: return .unmap(ipa, rangeSize())
    case 57..<62: return .wrprotect(ipa, rangeSize())
    case 62..<69: return .relax(ipa + random.below(sizes[3]), prot)
    case 69..<73: return .mkyoung(ipa)
    case 73..<82: return .age(ipa, rangeSize(), random.chance(60))
    case 82..<84: return .flush(ipa, rangeSize())
    case 84..<89:
      // A block of a bigger page size breaks into thousands of leaves: rarer, to keep a case short.
      if oracle.pageSize != 4096 && !random.chance(4) { return .mkyoung(ipa) }
      return .split(ipa, random.chance(50) ? sizes[3] : 2 * sizes[2])
    case 89..<94: return .topUp(vcpu, 1 + Int(random.below(4)))
    case 94..<96: return .topUpSplit(Int(random.below(4)))
    case 96..<98: return .drain
    case 98: return .unmap(oracle.limit - sizes[3], random.chance(50) ? sizes[3] : 2 * sizes[3])
    default: return .destroy(block(), sizes[2])
    }
  }

  /// Runs the operation; the result as the kernel's number.
  package func apply(_ stage2: inout TraditionalStage2) -> Int32 {
    switch self {
    case .map(let ipa, let size, let frame, let prot, let vcpu):
      return stage2.map(
        IPA(ipa), size: size, pfn: frame.map { PFN($0) }, prot: prot, vcpu: VCPUIndex(vcpu)
      ).rawValue
    case .unmap(let ipa, let size): return stage2.unmap(IPA(ipa), size: size).rawValue
    case .wrprotect(let ipa, let size): return stage2.wrprotect(IPA(ipa), size: size).rawValue
    case .relax(let ipa, let prot): return stage2.relaxPerms(IPA(ipa), prot: prot).rawValue
    case .mkyoung(let ipa): stage2.mkyoung(IPA(ipa))
    case .age(let ipa, let size, let markOld):
      return stage2.testClearYoung(IPA(ipa), size: size, markOld: markOld) ? 1 : 0
    case .flush(let ipa, let size): return stage2.flush(IPA(ipa), size: size).rawValue
    case .split(let ipa, let size):
      return stage2.split(IPA(ipa), size: size, vcpu: VCPUIndex(0)).rawValue
    case .topUp(let vcpu, let pages): stage2.topUpMemcache(vcpu: VCPUIndex(vcpu), pages: pages)
    case .topUpSplit(let pages): stage2.topUpSplitCache(pages: pages)
    case .drain: stage2.drainUnlinkedTables()
    case .destroy(let ipa, let size): stage2.destroyRange(IPA(ipa), size: size)
    }
    return 0
  }

  /// The same on the oracle.
  package func apply(_ oracle: inout TraditionalOracle) -> Int32 {
    switch self {
    case .map(let ipa, let size, let frame, let prot, let vcpu):
      return oracle.map(ipa, size, frame, prot, vcpu: vcpu)
    case .unmap(let ipa, let size): return oracle.unmap(ipa, size)
    case .wrprotect(let ipa, let size): return oracle.wrprotect(ipa, size)
    case .relax(let ipa, let prot): return oracle.relaxPerms(ipa, prot)
    case .mkyoung(let ipa): oracle.mkyoung(ipa)
    case .age(let ipa, let size, let markOld): return oracle.testClearYoung(ipa, size, markOld) ? 1 : 0
    case .flush(let ipa, let size): return oracle.flush(ipa, size)
    case .split(let ipa, let size): return oracle.split(ipa, size)
    case .topUp(let vcpu, let pages): oracle.topUp(vcpu, pages)
    case .topUpSplit(let pages): oracle.splitCache = max(oracle.splitCache, pages)
    case .drain: oracle.unlinked = [:]
    case .destroy(let ipa, let size): oracle.destroy(ipa, size)
    }
    return 0
  }

  package var description: String {
    func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
    return switch self {
    case .map(let ipa, let size, let frame, let prot, let vcpu):
      "map \(hex(ipa)) size \(hex(size)) frame \(frame.map(hex) ?? "?") prot \(hex(prot.rawValue)) vcpu \(vcpu)"
    case .unmap(let ipa, let size): "unmap \(hex(ipa)) size \(hex(size))"
    case .wrprotect(let ipa, let size): "wrprotect \(hex(ipa)) size \(hex(size))"
    case .relax(let ipa, let prot): "relax_perms \(hex(ipa)) prot \(hex(prot.rawValue))"
    case .mkyoung(let ipa): "mkyoung \(hex(ipa))"
    case .age(let ipa, let size, let markOld): "test_clear_young \(hex(ipa)) size \(hex(size)) \(markOld)"
    case .flush(let ipa, let size): "flush \(hex(ipa)) size \(hex(size))"
    case .split(let ipa, let size): "split \(hex(ipa)) size \(hex(size))"
    case .topUp(let vcpu, let pages): "topup vcpu \(vcpu) \(pages)"
    case .topUpSplit(let pages): "topup split cache \(pages)"
    case .drain: "rcu"
    case .destroy(let ipa, let size): "destroy_range \(hex(ipa)) size \(hex(size))"
    }
  }
}

extension UInt64 {
  fileprivate func clamped(to range: ClosedRange<UInt64>) -> UInt64 {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}
