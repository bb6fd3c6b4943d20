package import KVMTypes
package import Stage2Model
internal import SeededRandom

/// One kernel on one host, for which random calls are made on the model and on a shared object.
package struct StockCase: Sendable, CustomStringConvertible {
  /// The kernel, the machine, and whether the guest is protected.
  package var profile: Profile

  package init(_ profile: Profile) { self.profile = profile }

  /// Vcpus that take turns.
  private static let vcpus = 3

  /// The cases of a kernel with pages of one size: IPA sizes that shape the table differently, CPU features that change what must
  /// happen, protected guests where the kernel has them.
  package static func all(_ path: Profile.Path, _ era: PKVMEra, _ pageSize: PageSize) -> [StockCase] {
    var base = Profile(path: path, era: era)
    base.pageSize = pageSize
    let sizes = path == .pkvm ? [48, 44, 40] : [40, 48, 33]
    var cases: [StockCase] = []
    for (number, bits) in sizes.enumerated() {
      for features in 0..<4 where number == 0 || features == number {
        var profile = base
        profile.ipaBits = bits
        profile.hasFWB = features & 1 != 0
        profile.hasTLBIRange = features & 2 != 0
        cases.append(StockCase(profile))
      }
    }
    if path == .pkvm, era.supportsProtectedGuests {
      base.isProtected = true
      cases.append(StockCase(base))
    }
    return cases.filter { $0.profile.problems().isEmpty }
  }

  package var description: String {
    var words = [profile.isPKVM ? "pKVM" : "traditional", profile.era.name]
    words += ["\(profile.pageSize.bytes >> 10)K", "\(profile.ipaBits) bits"]
    if profile.isProtected { words.append("protected") }
    if profile.hasFWB { words.append("FWB") }
    if profile.hasTLBIRange { words.append("TLBI range") }
    return words.joined(separator: " ")
  }

  /// What a backend is told of a VM of the case.
  package var shape: ForeignShape { ForeignShape(profile, isProtected: profile.isProtected) }

  // MARK: Calls

  /// Random calls such as KVM makes, of whole pages; the top-up before each map is not among them. The same for the same seed.
  package func calls(seed: UInt64, count: Int) -> [StageCall] {
    var random = SplitMix64(seed: seed)
    var calls: [StageCall] = []
    while calls.count < count { append(&random, to: &calls) }
    return calls
  }

  private func append(_ random: inout SplitMix64, to calls: inout [StageCall]) {
    let page = profile.pageSize.bytes
    let block = profile.pageSize.pmdBytes
    // Three places far apart, a few blocks in each, a few pages in each block: calls meet.
    // A frame is donated once: those that are made up are told apart up to here.
    let bits = profile.isProtected ? min(profile.ipaBits, 39) : profile.ipaBits
    let limit = UInt64(1) << UInt64(bits)
    let places = [0, (limit / 2 / block) * block, limit - 4 * block]
    let base = places[random.below(3)] + random.below(3 as UInt64) * block
    let ipa = base + random.below(4 as UInt64) * page
    let vcpu = Int32(random.below(Self.vcpus))
    func call(_ function: StageCall.Function, _ ipa: UInt64 = 0, _ size: UInt64 = 0, _ prot: UInt64 = 0) {
      var call = StageCall(function, vm: 0)
      (call.ipa, call.size, call.prot, call.vcpu) = (ipa, size, prot, vcpu)
      call.number = UInt64(calls.count)
      calls.append(call)
    }
    func range() -> UInt64 { [page, page, 3 * page, block, 2 * block + page, 3 * block][random.below(6)] }
    let rights = [Stage2Prot.read, .rw, [.read, .execute], .rwx, .rw][random.below(5)].rawValue
    if profile.isProtected {
      return call(.map, ipa, page, Stage2Prot.rwx.rawValue)
    }
    switch random.below(100) {
    case 0..<45:
      let isBlock = profile.mapsBlocks && random.chance(25)
      call(.map, isBlock ? base : ipa, isBlock ? block : page, rights)
    case 45..<57: call(.unmap, ipa, range())
    case 57..<64: call(.wrprotect, ipa, range())
    case 64..<75:
      call(.testClearYoung, ipa, range())
      calls[calls.count - 1].markOld = random.chance(60)
    case 75..<83: call(.relaxPerms, ipa, 0, rights)
    case 83..<89: call(.mkyoung, ipa)
    case 89..<92: call(.flush, ipa, range())
    case 92: call(.flushTLBs)
    case 93: call(.gracePeriod)
    default:
      // Splits make thousands of leaves where pages are large.
      let isSmall = profile.pageSize == .size4K || random.chance(5)
      guard !profile.isPKVM, isSmall else { return call(.mkyoung, ipa) }
      call(.topUpSplitCache, 0, 1 + random.below(3 as UInt64))
      call(.split, base, block)
    }
  }

  /// The top-up that KVM makes before a map; nil before other calls.
  package func topUp(before call: StageCall) -> StageCall? {
    guard call.function == .map, let geometry = try? profile.geometry() else { return nil }
    var topUp = StageCall(.topUpMemcache, vm: call.vm)
    topUp.vcpu = call.vcpu
    topUp.size = UInt64(geometry.minPages)
    return topUp
  }
}
