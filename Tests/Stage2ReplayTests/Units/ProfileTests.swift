import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// What a trace says about the host, and how certain that is.
@Suite("Profile of the traced host")
struct ProfileTests {
  /// The profile of a trace when nothing else is known.
  static func profile(
    _ pageSize: PageSize = .size4K, _ request: ProfileRequest = ProfileRequest(), _ events: (Scenario) -> Void
  ) throws -> ReplayProfile {
    let story = Scenario(pageSize)
    story.request = request
    story.createSlot()
    story.enter(.vcpu0)
    events(story)
    return try story.replay().result.profile
  }

  static func request(isPKVM: Bool) -> ProfileRequest {
    var request = ProfileRequest()
    request.path = isPKVM ? .pkvm : .traditional
    return request
  }

  // MARK: Path

  @Test("A fault that waits for the VM's lock to write shows pKVM, one that waits to read the other path")
  func path() throws {
    for (flags, isPKVM) in [(UInt64(4), true), (2, false)] {
      let profile = try Self.profile { story in
        story.fault(.vcpu0, story.memory)
        story.contend(.vcpu0, lock: 0xffff_0000, flags: flags)
        story.enter(.vcpu0)
      }
      #expect(profile.isPKVM == isPKVM)
      #expect(profile.basis[.path] == .derived)
    }
  }

  @Test("Where faults are seen to wait for both, the more frequent wait decides, and the path is assumed")
  func disputedPath() throws {
    for (writes, reads, isPKVM) in [(1, 3, false), (3, 1, true), (2, 2, true)] {
      let profile = try Self.profile { story in
        for number in 0..<(writes + reads) {
          story.fault(.vcpu0, story.memory + UInt64(number) * story.page)
          story.contend(.vcpu0, lock: 0xffff_0000, flags: number < writes ? 4 : 2)
          story.enter(.vcpu0)
        }
      }
      #expect(profile.isPKVM == isPKVM && profile.basis[.path] == .assumed)
    }
  }

  @Test("Other locks, other moments and notifiers inside the fault say nothing: pKVM is assumed")
  func unknownPath() throws {
    let stories: [(Scenario) -> Void] = [
      { _ in },
      { story in
        story.fault(.vcpu0, story.memory)
        story.contend(.vcpu0, lock: 0x1234, flags: 2)
      },
      { $0.contend(.vcpu0, lock: 0xffff_0000, flags: 2) },
      { story in
        story.fault(.vcpu0, story.memory)
        story.unmap(.vcpu0, story.crookedHVA)
        story.contend(.vcpu0, lock: 0xffff_0000, flags: 2)
      },
      { story in
        story.fault(.vcpu0, story.memory, .accessFlag)
        story.contend(.vcpu0, lock: 0xffff_0000, flags: 2)
      },
    ]
    for story in stories {
      let profile = try Self.profile(.size4K, ProfileRequest(), story)
      #expect(profile.isPKVM)
      #expect(profile.basis[.path] == .assumed)
    }
  }

  @Test(
    "A wait is proof of the fault's only where a notifier's call of the thread would be seen, and the window's end",
    arguments: [
      KVMEventFormats.unmapHVARange, KVMEventFormats.ageHVA, KVMEventFormats.testAgeHVA,
      KVMEventFormats.userspaceExit,
    ])
  func unprovenPath(missing: TraceSynth.EventFormat) throws {
    for (flags, isPKVM) in [(UInt64(4), true), (2, false)] {
      let story = Scenario(formats: KVMEventFormats.all.filter { $0.name != missing.name })
      story.request = ProfileRequest()
      story.createSlot()
      story.enter(.vcpu0)
      story.fault(.vcpu0, story.memory)
      story.contend(.vcpu0, lock: 0xffff_0000, flags: flags)
      story.enter(.vcpu0)
      let profile = try story.replay().result.profile
      #expect(profile.isPKVM == isPKVM && profile.basis[.path] == .assumed, "\(missing.name)")
    }
  }

  @Test("A leaf larger than any that pKVM maps shows the other path")
  func largeLeaf() throws {
    for (era, level, kind, access, isPKVM) in [
      ("7.3", 1, FaultKind.permission, Scenario.Access.exec, false), ("7.3", 1, .accessFlag, .read, false),
      ("7.3", 1, .translation, .read, true), ("7.3", 1, .permission, .stage1Walk, true),
      ("7.3", 2, .permission, .exec, true),
    ] {
      let profile = try Self.profile { $0.handle(.vcpu0, $0.memory, kind, level: level, access) }
      #expect(profile.isPKVM == isPKVM, "\(era) \(kind) \(level)")
      #expect(profile.basis[.path] == (isPKVM ? .assumed : .derived))
    }
  }

  @Test("Before pKVM had blocks, one of level 2 shows the other path", arguments: ["6.15.2", "6.16.1"])
  func blockBeforeBlocks(release: String) throws {
    let story = Scenario()
    story.uname = "Linux host \(release) #1 SMP aarch64"
    story.request = ProfileRequest()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    let profile = try story.replay().result.profile
    #expect(profile.isPKVM == (release == "6.16.1"))
    #expect(profile.basis[.path] == (profile.isPKVM ? .assumed : .derived))
  }

  @Test("What waits for locks show outweighs a leaf that pKVM cannot have: that is for the rules to say")
  func largeLeafUnderPKVM() throws {
    let profile = try Self.profile { story in
      story.fault(.vcpu0, story.memory)
      story.contend(.vcpu0, lock: 0xffff_0000, flags: 4)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, .permission, level: 1, .exec)
    }
    #expect(profile.isPKVM && profile.basis[.path] == .derived)
  }

  @Test("Faults that overlap and never wait, where waits are recorded, suggest the traditional path")
  func overlappingFaults() throws {
    let profile = try Self.profile { story in
      story.contend(.kswapd, lock: 0x1234, flags: 1)
      story.fault(.vcpu0, story.memory)
      story.fault(.vcpu1, story.memory)
    }
    #expect(!profile.isPKVM)
    #expect(profile.basis[.path] == .assumed)
  }

  @Test("A whole profile is taken as it is, and is an assumption")
  func wholeProfile() throws {
    var given = Profile(path: .traditional, era: .v6_16)
    given.ipaBits = 36
    given.hasHardwareAF = true
    var request = ProfileRequest()
    request.profile = given
    let profile = try Self.profile(.size4K, request) { $0.handleAccessFault(.vcpu0, $0.memory) }
    #expect(profile.profile == given)
    for field in [ProfileField.ID.path, .era, .ipaBits, .hardwareAF] {
      #expect(profile.basis[field] == .assumed, "\(field)")
    }
    #expect(profile.basis[.pageSize] == .derived)
  }

  @Test("Single fields are taken as the user says, and are assumptions")
  func fields() throws {
    var request = Self.request(isPKVM: false)
    try request.set("ipaBits", to: .integer(36))
    try request.set("hardwareAF", to: .bool(true))
    let profile = try Self.profile(.size4K, request) { $0.handleAccessFault(.vcpu0, $0.memory) }
    #expect(!profile.isPKVM)
    #expect(profile.ipaBits == 36)
    #expect(profile.hasHardwareAccessFlag)
    for field in [ProfileField.ID.path, .ipaBits, .hardwareAF] {
      #expect(profile.basis[field] == .assumed, "\(field)")
    }
    #expect(profile.basis[.pageSize] == .derived)
  }

  // MARK: Access flag

  @Test("An access flag fault shows that the hardware does not set the flag; none shows nothing")
  func accessFlag() throws {
    let with = try Self.profile { $0.handleAccessFault(.vcpu0, $0.memory) }
    #expect(!with.hasHardwareAccessFlag)
    #expect(with.basis[.hardwareAF] == .derived)
    let without = try Self.profile { $0.handle(.vcpu0, $0.memory) }
    #expect(without.hasHardwareAccessFlag)
    #expect(without.basis[.hardwareAF] == .assumed)
  }

  // MARK: Bits of an address

  @Test(
    "The lowest level of a fault is where the table begins",
    arguments: [
      (isPKVM: false, level: 0, bits: 48), (false, 1, 40), (false, 2, 32), (true, 0, 48), (true, 1, 40),
    ])
  func startLevel(isPKVM: Bool, level: Int, bits: Int) throws {
    let profile = try Self.profile(.size4K, Self.request(isPKVM: isPKVM)) { story in
      story.handle(.vcpu0, story.memory, level: level)
      story.handle(.vcpu0, story.memory + story.page, level: 3)
    }
    #expect(profile.ipaBits == bits)
    #expect(profile.basis[.ipaBits] == .assumed)
  }

  @Test("Of VMs that all ran before the trace, levels bound where the table begins, and addresses its bits")
  func midLife() throws {
    func bits(_ isPKVM: Bool, _ level: Int, ipa: UInt64? = nil, created: Bool = false) throws -> Int {
      let story = Scenario()
      story.request = Self.request(isPKVM: isPKVM)
      story.enter(.vcpu0)
      story.handle(.vcpu0, ipa ?? story.memory, level: level)
      story.setFlags(1, ipa: ipa)
      if created { story.createSlot(.vcpu1, kvm: 0xffff_8000, id: 5, ipa: 0x9000_0000) }
      return try story.replay().result.profile.ipaBits
    }
    #expect(try bits(false, 2) == 40 && bits(false, 3) == 40 && bits(false, 0) == 48)
    #expect(try bits(true, 2) == 48 && bits(true, 1) == 48)
    #expect(try bits(false, 3, ipa: 1 << 41) == 48)
    // No other guest comes: it is the one that ran that gets a slot.
    #expect(try bits(false, 2, created: true) == 40)
  }

  @Test("A stage-1 walk's level is not that of the table, but may have been the first walk of it")
  func stage1Walk() throws {
    for (isPKVM, bits) in [(false, 40), (true, 48)] {
      let profile = try Self.profile(.size4K, Self.request(isPKVM: isPKVM)) { story in
        story.handle(.vcpu0, story.memory, level: 0, .stage1Walk)
        story.handle(.vcpu0, story.memory + 0x4000_0000, level: 2)
      }
      #expect(profile.ipaBits == bits)
    }
    let below = try Self.profile(.size4K, Self.request(isPKVM: false)) { story in
      story.handle(.vcpu0, story.memory, level: 0, .stage1Walk)
      story.handle(.vcpu0, story.memory + 0x4000_0000, level: 1)
    }
    #expect(below.ipaBits == 40)
  }

  @Test("An address needs the bits that it has")
  func highAddress() throws {
    for (ipa, bits) in [(UInt64(1) << 41, 44), (1 << 50, 52), (1 << 51, 52)] {
      let profile = try Self.profile(.size4K, Self.request(isPKVM: false)) {
        $0.handle(.vcpu0, ipa, level: 3)
      }
      #expect(profile.ipaBits == bits || (bits == 44 && profile.ipaBits == 48))
    }
  }

  @Test("Levels and addresses that cannot be leave the profile sound")
  func impossible() throws {
    let profile = try Self.profile { story in
      story.handle(.vcpu0, story.memory, level: -1)
      story.handle(.vcpu0, .max, level: 0)
    }
    #expect((32...52).contains(profile.ipaBits))
  }

  @Test("Without a fault the common sizes are assumed", arguments: PageSize.allCases)
  func noFault(pageSize: PageSize) throws {
    #expect(try Self.profile(pageSize, Self.request(isPKVM: true)) { _ in }.ipaBits == 48)
    #expect(try Self.profile(pageSize, Self.request(isPKVM: false)) { _ in }.ipaBits == 40)
  }

  @Test("A permission fault on a fetch shows that caches of instructions need invalidation")
  func dic() throws {
    let fetch = try Self.profile { $0.handle(.vcpu0, $0.memory, .permission, .exec) }
    #expect(!fetch.profile.hasDIC)
    #expect(fetch.basis[.dic] == .derived)
    #expect(try Self.profile { $0.handle(.vcpu0, $0.memory, .translation, .exec) }.basis[.dic] == .assumed)
  }

  @Test(
    "The kernel's version decides the era",
    arguments: [
      ("Linux host 7.3.4+deb13 aarch64", PKVMEra.v7_3), ("Linux host 7.4 aarch64", .v7_3),
      ("Linux host 7.2.12 aarch64", .v7_2), ("Linux host 7.1 aarch64", .v7_1),
      ("Linux host 7.0.1 aarch64", .v6_19),
      ("Linux host 6.18.15 aarch64", .v6_18),
      ("Linux host 6.19.0-rc2 aarch64", .v6_19),
      ("Linux host 6.17.1 aarch64", .v6_16), ("Linux host 6.15 aarch64", .v6_15),
      ("Linux host 6.12.9 aarch64", .v6_14), ("Linux host 7.2.12.deb13-cloud-arm64 aarch64", .v7_2),
      ("Linux host 7.1-custom/9 aarch64", .v7_1),
    ])
  func era(uname: String, era: PKVMEra) {
    #expect(KernelRelease(uname: uname)?.era == era)
  }

  @Test(
    "Other words are no version",
    arguments: ["", "Linux", "Linux host seven", "Linux host 7 aarch64", "a b .."])
  func noVersion(uname: String) {
    #expect(KernelRelease(uname: uname) == nil)
  }

  @Test("Chunks are the biggest blocks, and a map needs the levels below the first")
  func derived() throws {
    #expect(try Self.profile(.size4K, Self.request(isPKVM: true)) { _ in }.geometry.chunkBytes == 1 << 30)
    #expect(try Self.profile(.size16K, Self.request(isPKVM: true)) { _ in }.geometry.chunkBytes == 32 << 20)
    #expect(try Self.profile(.size64K, Self.request(isPKVM: true)) { _ in }.geometry.chunkBytes == 512 << 20)
    #expect(try Self.profile(.size4K, Self.request(isPKVM: true)) { _ in }.minPages == 3)
  }
}
