import KVMTrace
import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// What the host counted at quiet points, against the model: figures of 40-bit guests on hosts with 4 KiB pages, whose PGD
/// has 2 pages, and 2 tables below it on the way to a page.
@Suite("Memory markers")
struct MemoryMarkerTests {
  /// A VM that was created after the first marker, and whose vCPU is in the guest.
  private func story(_ path: Profile.Path = .pkvm, kvm: UInt64 = 0xffff_0000) -> Scenario {
    let story = Scenario(formats: Scenario.markedFormats)
    story.profile = Profile(path: path, era: .v7_3)
    story.profile.ipaBits = 40
    story.profile.hasHardwareAF = false
    story.mark("begin", mappings: path == .pkvm ? 0 : nil)
    story.createVM(kvm: kvm)
    story.createSlot(kvm: kvm)
    story.enter(.vcpu0)
    return story
  }

  /// The story with three pages mapped. Under pKVM: the first map takes the 2 pages that the host's cache had; the second
  /// leaves 2 at EL2; before the third, 2 more come into the host's cache and stay.
  private func threePages(_ path: Profile.Path = .pkvm) -> Scenario {
    let story = story(path)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
    return story
  }

  @Test("Under pKVM the PGD, tables and both memory caches count, and one mapping object a page")
  func pkvm() throws {
    let story = threePages()
    story.mark("mapped", kilobytes: 4 * (2 + 2 + 4), mappings: 3)
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "mapped secPageTablesBytes 32768 32768 agrees", "mapped mappings 3 3 agrees",
      ])
    #expect(replayed.divergences == [])
    #expect(replayed.result.markers.map(\.isFirst) == [true, false])
    #expect(replayed.result.markers[1].figures.allSatisfy { $0.basis == .derived })
  }

  @Test(
    "On the traditional path the PGD counts from the VM's creation, tables when they are linked, caches never"
  )
  func traditional() throws {
    let story = story(.traditional)
    story.createVM(.kswapd, kvm: 0xeeee_0000, type: 48)
    story.mark("created", kilobytes: 4 * (2 + 1))
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.destroyVM(.kswapd, kvm: 0xeeee_0000)
    story.mark("mapped", kilobytes: 4 * (2 + 2))
    story.unmap(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA)
    story.mark("unmapped", kilobytes: 4 * 2)
    story.destroyVM()
    story.mark("end")
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "created secPageTablesBytes 12288 12288 agrees", "mapped secPageTablesBytes 16384 16384 agrees",
        "unmapped secPageTablesBytes 8192 8192 agrees", "end secPageTablesBytes 0 0 agrees",
      ])
    #expect(replayed.divergences == [])
  }

  @Test("Tables that a block replaced are free at a quiet point")
  func gracePeriod() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.profile.ipaBits = 40
    story.profile.hasHardwareAF = false
    story.mark("begin")
    story.createVM()
    story.createSlot(hva: story.congruentHVA, flags: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.setFlags(0, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory, .permission, level: 3, .exec)
    story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .exec)
    story.mark("block", kilobytes: 4 * (2 + 1))
    let replayed = try story.replay()
    #expect(replayed.operations(.map).last?.hasPrefix("map 40000000+200000") ?? false)
    #expect(replayed.figures == ["block secPageTablesBytes 12288 12288 agrees"])
  }

  @Test("A vCPU that waits in a fault may have taken a mapping object for it", arguments: [3, 4, 5])
  func fault(mappings: Int) throws {
    let story = threePages()
    story.fault(.vcpu0, story.memory + 3 * story.page, level: 3, .write)
    story.mark("faulting", kilobytes: 4 * (2 + 2 + 4), mappings: mappings)
    story.enter(.vcpu0)
    let verdict = mappings < 5 ? "agrees" : "differs"
    let replayed = try story.replay()
    #expect(replayed.figures.last == "faulting mappings \(mappings) 3 \(verdict)")
    #expect(replayed.result.divergences.unexplained == (mappings < 5 ? 0 : 1))
  }

  @Test("D24: a page or an object too many or too few", arguments: [(36, 3), (28, 3), (32, 2), (32, 4)])
  func wrongFigures(kilobytes: Int, mappings: Int) throws {
    let story = threePages()
    story.mark("mapped", kilobytes: kilobytes, mappings: mappings)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D24 unexplained"])
    let item = try #require(replayed.result.divergences.items.first)
    #expect(item.vm == nil && item.tid == ThreadID(1000))
    #expect(item.observed.hasSuffix("at the marker mapped"))
  }

  @Test("A destroyed VM leaves nothing, and its number and address can come again")
  func destroyed() throws {
    let story = threePages()
    story.destroyVM()
    story.mark("gone", mappings: 0)
    story.unmap(.kswapd, story.crookedHVA)
    story.createVM()
    story.createSlot()
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.mark("again", kilobytes: 4 * (2 + 2), mappings: 1)
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "gone secPageTablesBytes 0 0 agrees", "gone mappings 0 0 agrees",
        "again secPageTablesBytes 16384 16384 agrees", "again mappings 1 1 agrees",
      ])
    #expect(replayed.operations(.unmap) == [])
    #expect(replayed.result.vms.count == 2)
  }

  @Test("Two VMs of one thread live side by side where probes tell of their ends")
  func twoVMs() throws {
    let story = threePages()
    story.createVM(kvm: 0xeeee_0000)
    story.createSlot(kvm: 0xeeee_0000, ipa: 0x8000_0000)
    story.handle(.vcpu1, 0x8000_0000, level: 1, .write)
    story.mark("both", kilobytes: 4 * (8 + 4), mappings: 4)
    #expect(
      try story.replay().figures == [
        "both secPageTablesBytes 49152 49152 agrees", "both mappings 4 4 agrees",
      ])
  }

  @Test("A fault that is made to retry has filled the memory cache all the same")
  func retry() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.fault(.vcpu0, story.memory + story.page, level: 3, .write)
    story.unmap(.vcpu0, story.crookedHVA + story.page)
    story.enter(.vcpu0)
    story.exit(.vcpu0, exceptionClass: 1)
    story.exitToVMM(.vcpu0, errno: -4)
    story.mark("retried", kilobytes: 4 * (2 + 2 + 2), mappings: 2)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.ownUnmap: 1])
    #expect(
      replayed.figures == [
        "retried secPageTablesBytes 24576 24576 agrees", "retried mappings 2 2 agrees",
      ])
  }

  @Test("A page that may be a block has a table that may not be there")
  func open() throws {
    let story = story()
    story.createSlot(id: 1, ipa: 0x8000_0000, hva: 0xff00_8000_0000)
    story.handle(.vcpu0, 0x8000_0000, level: 1, .write)
    story.mark("one", kilobytes: 4 * (2 + 1 + 1), mappings: 1)
    let figure = try #require(story.replay().result.markers.last?.figures.first)
    #expect(figure.range == 16384...20480 || figure.range == 12288...16384)
    #expect(figure.verdict == .agrees)
    #expect(figure.basis == .assumed)
  }

  @Test("A fault that lost to what may be no block may have mapped a page beside it", arguments: [1, 2])
  func openBlock(mappings: Int) throws {
    let story = story()
    story.createSlot(id: 1, ipa: 0x8000_0000, hva: 0xff00_8000_0000)
    // The host ages it as a block, which the next one is taken to be, too.
    story.handle(.vcpu0, 0x8000_0000, level: 1, .write)
    story.age(.kswapd, 0xff00_8000_0000, bytes: story.block)
    story.enter(.vcpu1)
    story.fault(.vcpu0, 0x8020_0000, level: 2, .write)
    story.fault(.vcpu1, 0x8020_1000, level: 2, .write)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    // The first page of the story, the block, and this.
    story.mark("one", mappings: 2 + mappings)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).map { $0.hasSuffix("= -11, assumed") } == [false, false, true])
    let figure = try #require(replayed.result.markers.last?.figures.last)
    #expect(figure.range == 3...4)
    #expect(figure.verdict == .agrees)
  }

  // MARK: What cannot be said

  @Test("Nothing is said of memory after events were lost")
  func losses() throws {
    let story = threePages()
    story.loseEvents(cpu: 2)
    story.age(.kswapd, 0x1000)
    story.mark("late", kilobytes: 0, mappings: 0)
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "late secPageTablesBytes 0 32768 unknown: lostEvents", "late mappings 0 3 unknown: lostEvents",
      ])
    #expect(replayed.divergences == ["D24 unknown E6 x2"])
  }

  @Test("Nothing is said of memory where VMs were there before the first marker")
  func midLife() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.createVM()
    story.createSlot()
    story.mark("begin")
    story.mark("later", kilobytes: 4)
    #expect(try story.replay().figures == ["later secPageTablesBytes 4096 0 unknown: begunMidLife"])

    let counted = Scenario(formats: Scenario.markedFormats)
    counted.mark("begin", "exits=5")
    counted.mark("later", kilobytes: 4)
    #expect(try counted.replay().figures == ["later secPageTablesBytes 4096 0 unknown: begunMidLife"])
  }

  @Test("Nothing is said of memory where no probe tells of VMs")
  func noProbes() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.mark("begin")
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.mark("mapped", kilobytes: 16)
    #expect(try story.replay().figures == ["mapped secPageTablesBytes 16384 16384 unknown: unknownVMs"])
  }

  @Test("Nothing is said of memory of VMs of another type than the model's")
  func otherTypes() throws {
    let story = story(.traditional)
    story.createVM(kvm: 0xeeee_0000, type: 48)
    story.createSlot(.kswapd, kvm: 0xeeee_0000, ipa: 0x8000_0000)
    story.mark("two", kilobytes: 12)
    #expect(try story.replay().figures == ["two secPageTablesBytes 12288 16384 unknown: otherVMType"])
  }

  @Test("Where the IPA limit of a pKVM host is not told, neither is the size of the PGD")
  func ipaLimit() throws {
    for (limit, least, most) in [("", 1, 16), ("ipa_limit=52", 16, 16), ("ipa_limit=44", 1, 1)] {
      let story = Scenario(formats: Scenario.markedFormats)
      story.request = ProfileRequest()
      story.request?.path = .pkvm
      story.mark("begin", limit)
      story.createVM()
      story.createSlot()
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 0, .write)
      story.mark("mapped", kilobytes: 4 * 19)
      let figure = try #require(story.replay().result.markers.last?.figures.first)
      #expect(figure.range == (least + 3) * 4096...(most + 3) * 4096)
      #expect(figure.verdict == (most == 16 ? .agrees : .differs))
    }
  }

  @Test("What the host's memory management unmapped just before a marker may have been counted, or not")
  func movedMeanwhile() throws {
    for (mappings, divergences) in [(3, ["D24 unknown E16"]), (2, []), (5, ["D24 unknown E16"])] {
      let story = threePages()
      story.exit(.vcpu0, exceptionClass: 1)
      story.exitToVMM(.vcpu0, errno: -4)
      story.unmap(.kswapd, story.crookedHVA)
      story.mark("moved", kilobytes: 32, mappings: mappings)
      let found = try story.replay().divergences
      #expect(found == divergences, "\(mappings)")
    }
  }

  @Test("Where a marker says from when on the host was quiet, either moment counts and nothing else")
  func quiet() throws {
    for (mappings, divergences) in [(3, []), (2, []), (1, ["D24 unexplained"]), (4, ["D24 unexplained"])] {
      let story = threePages()
      story.exit(.vcpu0, exceptionClass: 1)
      story.exitToVMM(.vcpu0, errno: -4)
      story.print("pkvm-replay:quiet")
      story.unmap(.kswapd, story.crookedHVA)
      story.mark("moved", kilobytes: 32, mappings: mappings)
      // The moment is over with the figures.
      story.enter(.vcpu0)
      story.print("pkvm-replay:quiet")
      story.mark("still", kilobytes: 32, mappings: 2)
      let found = try story.replay().divergences
      #expect(found == divergences, "\(mappings)")
    }
  }

  @Test("A protected guest beside another one: its pages stay, and its faults never retry")
  func protectedBesideOther() throws {
    let story = story()
    story.createVM(.kswapd, kvm: 0xeeee_0000, type: 1 << 31)
    story.createSlot(.kswapd, kvm: 0xeeee_0000, ipa: 0x8000_0000, hva: 0xee00_0000_1000)
    story.handle(.vcpu1, 0x8000_0000, level: 1, .write)
    story.fault(.vcpu1, 0x8000_0000 + story.page, level: 3)
    story.unmap(.vcpu1, 0xee00_0000_1000 + story.page)
    story.enter(.vcpu1)
    story.age(.kswapd, 0xee00_0000_1000)
    story.unmap(.kswapd, 0xee00_0000_1000)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.mark("both", kilobytes: 4 * (2 + 2 + 2 + 2 + 2), mappings: 3)
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "both secPageTablesBytes 40960 40960 agrees", "both mappings 3 3 agrees",
      ])
    #expect(
      replayed.operations(vm: 1) == [
        "map 80000000+1000 = 0, derived", "map 80001000+1000 = 0, derived",
      ])
    #expect(replayed.divergences == [])
  }

  @Test("A page that the host took back from a protected guest fails KVM_RUN, and its mapping object stays")
  func poison() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.mark("begin", mappings: 0)
    story.createVM(type: 1 << 31)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.fault(.vcpu0, story.memory, level: 3, .write)
    story.exitToVMM(.vcpu0, errno: -14)
    story.mark("poisoned", kilobytes: 4 * (2 + 2 + 2), mappings: 2)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived", "map 40000000+1000 = -14, derived"])
    #expect(replayed.divergences == [])
    #expect(replayed.figures.allSatisfy { $0.hasSuffix("agrees") } && replayed.figures.count == 2)
  }

  // MARK: Other figures

  /// A VM with one block.
  private func block(_ huge: String) -> Scenario {
    let story = Scenario(formats: Scenario.markedFormats)
    story.mark("begin")
    story.createVM()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    story.mark("block", kilobytes: 4 * (2 + 1 + 1 + 2), huge)
    return story
  }

  @Test("Blocks need as many huge pages of the VMM")
  func hugePages() throws {
    #expect(
      try block("anon_huge_kb=1000:2048,77:0").replay().figures.last
        == "block anonHugeBytes 2097152 2097152 agrees")
    #expect(try block("anon_huge_kb=1000:8192").replay().divergences == [])
    let few = try block("anon_huge_kb=1000:0 other_huge_kb=1000:0").replay()
    #expect(few.figures.last == "block anonHugeBytes 0 2097152 differs")
    #expect(few.divergences == ["D24 unexplained"])
    let open = try block("anon_huge_kb=1000:0").replay()
    #expect(open.figures.last == "block anonHugeBytes 0 2097152 unknown: otherHugePages")
    #expect(open.divergences == ["D24 unknown"])
  }

  @Test("Where other huge pages are told, too, blocks need as many of all kinds")
  func otherHugePages() throws {
    for (anonymous, other, verdict) in [
      (0, 2048, "agrees"), (1024, 1024, "agrees"), (2048, 2048, "covers"), (0, 1024, "differs"),
      (1024, 512, "differs"),
    ] {
      let replayed = try block("anon_huge_kb=1000:\(anonymous) other_huge_kb=1000:\(other)").replay()
      let bytes = (anonymous + other) << 10
      #expect(replayed.figures.last == "block hugeBytes \(bytes) 2097152 \(verdict)")
      #expect(replayed.divergences == (verdict == "differs" ? ["D24 unexplained"] : []))
    }
  }

  @Test("KVM's own counts tell whether the trace has every exit and device access: D24, if it has not")
  func exits() throws {
    for (exits, verdict) in [(4, "agrees"), (5, "differs")] {
      let story = threePages()
      story.fault(.vcpu0, 0x9000, level: 1)
      story.mmio(.vcpu0, 0x9000)
      story.mark(
        "now", kilobytes: 32, mappings: 3, "exits=\(exits) mmio_exit_user=1 mmio_exit_kernel=0 later=1")
      let replayed = try story.replay()
      #expect(
        replayed.figures.suffix(2) == [
          "now exits \(exits) 4 \(verdict)", "now mmioExits 1 1 agrees",
        ])
      #expect(replayed.divergences == (verdict == "agrees" ? [] : ["D24 unexplained"]))
      #expect(replayed.result.divergences.items.allSatisfy { $0.expected.hasSuffix("the trace has exits 4") })
    }
  }

  @Test("What a marker does not tell of a VM's process, it may have read while that ran")
  func notStopped() throws {
    for (figures, verdicts, divergences) in [
      ("anon_huge_kb=77:0 exits=0", ["agrees", "unknown: notStopped"], []),
      ("anon_huge_kb=77:0 exits=3", ["agrees", "agrees"], []),
      ("anon_huge_kb=1000:0 exits=0", ["agrees", "agrees", "differs"], ["D24 unexplained"]),
      ("exits=0", ["agrees", "differs"], ["D24 unexplained"]),
    ] {
      let story = threePages(.traditional)
      story.mark("now", kilobytes: 4 * (2 + 2), figures)
      let replayed = try story.replay()
      #expect(replayed.figures.map { String($0.split(separator: " ", maxSplits: 4)[4]) } == verdicts)
      #expect(replayed.divergences == divergences)
    }
    let story = threePages()
    story.mark("now", kilobytes: 28, mappings: 3, "anon_huge_kb=77:0")
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "now secPageTablesBytes 28672 32768 unknown: notStopped", "now mappings 3 3 agrees",
      ])
    #expect(replayed.divergences == ["D24 unknown"])
  }

  @Test("Exits of a VM that is gone are not counted any more")
  func exitsOfDestroyedVM() throws {
    let story = threePages()
    story.destroyVM()
    story.mark("gone", "exits=0 mmio_exit_user=0 mmio_exit_kernel=0")
    #expect(
      try story.replay().figures == [
        "gone secPageTablesBytes 0 0 agrees", "gone exits 0 0 agrees", "gone mmioExits 0 0 agrees",
      ])
  }

  @Test("Without the event nothing is known of how many there were, unless KVM counted none")
  func eventsNotRecorded() throws {
    let story = threePages()
    story.mark("none", kilobytes: 32, mappings: 3, "mmio_exit_user=0 mmio_exit_kernel=0")
    story.mark("some", kilobytes: 32, mappings: 3, "mmio_exit_user=1 mmio_exit_kernel=2")
    let replayed = try story.replay()
    #expect(
      replayed.figures.filter { $0.contains("mmioExits") } == [
        "none mmioExits 0 0 agrees", "some mmioExits 3 unknown unknown: notRecorded",
      ])
    #expect(replayed.divergences == [])
    let figure = try #require(replayed.result.markers.last?.figures.last)
    #expect(figure.modelled == nil && figure.difference == nil && figure.range == nil && figure.basis == nil)
  }

  @Test("Without faults nothing is modelled of memory, and a 0 of the host agrees with nothing")
  func faultsNotRecorded() throws {
    let story = Scenario(formats: Scenario.markedFormats.filter { $0.name != "kvm_guest_fault" })
    story.mark("begin", mappings: 0)
    story.createVM()
    story.createSlot()
    story.enter(.vcpu0)
    story.exit(.vcpu0)
    story.mark("mapped", kilobytes: 0, mappings: 3, "anon_huge_kb=1000:2048")
    let replayed = try story.replay()
    #expect(
      replayed.figures == [
        "mapped secPageTablesBytes 0 unknown unknown: notRecorded",
        "mapped mappings 3 unknown unknown: notRecorded",
        "mapped anonHugeBytes 2097152 unknown unknown: notRecorded",
      ])
    #expect(
      replayed.result.divergences.items.allSatisfy {
        $0.verdict == .unknown && $0.expected.hasSuffix("is unknown") && $0.basis == .assumed
      })
  }

  @Test("That a bound is kept to refutes no doubt: it would be in any case")
  func doubtOfBound() throws {
    let story = block("anon_huge_kb=1000:2048")
    story.exit(.vcpu0, exceptionClass: 1)
    story.exitToVMM(.vcpu0, errno: -4)
    story.unmap(.kswapd, story.congruentHVA)
    story.mark("moved", kilobytes: 4 * (2 + 1 + 1 + 2), "anon_huge_kb=1000:4096")
    #expect(
      try story.replay().figures.last == "moved anonHugeBytes 4194304 0 unknown: movedMeanwhile")
  }

  @Test("What others print, and markers without figures, say nothing")
  func otherText() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.print("hello")
    story.print("pkvm-replay:memory")
    story.print("pkvm-replay:lab workload=boot seed=7 note")
    story.print("pkvm-replay:memories point=x sec_page_tables_kb=1")
    let replayed = try story.replay()
    #expect(replayed.result.markers.count == 1 && replayed.figures == [])
    #expect(
      replayed.result.recordingSettings.map { "\($0.key)=\($0.value)" } == [
        "workload=boot", "seed=7", "note=",
      ])
  }

  @Test("The type of a VM decides what the trace would leave open", arguments: [(0, 40), (48, 48), (36, 36)])
  func types(type: UInt64, bits: Int) throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.request = ProfileRequest()
    story.request?.path = .traditional
    story.createVM(type: type)
    story.createSlot()
    let profile = try story.replay().result.profile
    #expect(profile.ipaBits == bits && profile.basis[.ipaBits] == .recorded)
  }

  @Test("A protected guest needs pKVM")
  func protectedGuest() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.request = ProfileRequest()
    story.createVM(type: 1 << 31 | 40)
    story.createSlot()
    let profile = try story.replay().result.profile
    #expect(profile.isPKVM && profile.profile.isProtected)
    #expect(profile.basis[.path] == .derived && profile.basis[.protected] == .recorded)
  }

  @Test("Mapping objects are those of a pKVM host, where nothing else of the trace tells")
  func path() throws {
    let profile = try Recordings.replay("pkvm-nvhe-7.3.4-hugetlb-guest.dat").result.profile
    #expect(profile.isPKVM && profile.basis[.path] == .derived)
  }

  // MARK: What is open

  /// Three pages of a region that may hold a block, mapped while its slot logs, and a write after that.
  private func openSize(_ more: (Scenario) -> Void, mappings: Int) throws -> [MarkerFigure] {
    let story = Scenario(formats: Scenario.markedFormats)
    story.mark("begin", mappings: 0)
    story.createVM()
    story.createSlot(hva: story.congruentHVA, flags: 1)
    story.enter(.vcpu0)
    for number in 0..<3 {
      story.handle(.vcpu0, story.memory + UInt64(number) * story.page, level: number == 0 ? 1 : 3, .write)
    }
    story.setFlags(0, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory, .permission, level: 3, .write, pc: 0x2000)
    more(story)
    story.mark("mapped", mappings: mappings)
    let replayed = try story.replay()
    return replayed.result.markers[1].figures.filter { $0.kind == .mappings }
  }

  @Test("After logging, a write relaxes one of many pages or puts a block in their place: the range has both")
  func blockAfterLogging() throws {
    let asPages = try openSize({ _ in }, mappings: 4)
    #expect(asPages.map(\.verdict) == [.agrees])
    // One more is held ready for the next fault.
    #expect(asPages.map(\.range) == [2...4])
    #expect(try openSize({ _ in }, mappings: 2).map(\.verdict) == [.agrees])
  }

  @Test("A later fault at level 3 in the region shows pages, and nothing is open")
  func pagesAfterLogging() throws {
    let settled = try openSize({ $0.handle(.vcpu0, $0.memory + 9 * $0.page, level: 3, .write) }, mappings: 4)
    #expect(settled.map(\.range) == [4...4])
  }

  @Test("Where the block is assumed, the pages that it replaced may all be there")
  func pagesUnderAssumedBlock() throws {
    let open = try openSize({ $0.age(.kswapd, $0.congruentHVA, bytes: $0.block) }, mappings: 3)
    #expect(open.map(\.modelled) == [1])
    #expect(open.map(\.verdict) == [.agrees])
  }
}
