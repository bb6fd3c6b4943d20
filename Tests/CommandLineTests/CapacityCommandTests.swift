import Foundation
import Testing
import UnnamedFiles

/// `capacity`.
@Suite("Capacity command")
struct CapacityCommandTests {
  @Test("A plan of a recording is printed with its assumptions, and written as JSON and CSV")
  func plan() throws {
    let json = try UnnamedFile()
    let csv = try UnnamedFile()
    let outcome = try Tool.run([
      "capacity", Tool.recording, "--vms", "100", "--memory", "4GiB", "--json", json.path, "--csv", csv.path,
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("assumed:") && outcome.output.contains("hyp_vmemmap"))
    let plan = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: json.path))) as? [String: Any])
    let cases = try #require(plan["cases"] as? [[String: Any]])
    #expect(cases.count == 8)
    let totals = cases.compactMap { $0["vmTotalBytes"] as? Int }
    #expect(totals == totals.sorted(), "from the least to the most")
    let rows = try String(contentsOfFile: csv.path, encoding: .utf8).split(separator: "\n")
    #expect(rows.count == 9)
    #expect(outcome.output.split(separator: "\n").allSatisfy { $0.count <= 100 })
  }

  @Test("That a recording is damaged, or left out, stands in every form of the plan")
  func incomplete() throws {
    let damaged = try Tool.damaged(
      Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path)
    let empty = try UnnamedFile(
      #"{"version": 1, "vms": [{"slots": [{"gfn": 1, "pages": 1}]}]}"#.utf8)
    for form in [[], ["--json", "-"], ["--html", "-"]] {
      let plan = ["capacity", "--vms", "5", "--memory", "1GiB"]
      let outcome = try Tool.run(plan + ["--allow-loss", damaged.path, Tool.recording] + form)
      #expect(outcome.status == 0, "\(outcome.errors)")
      let words = Tool.words(outcome.output)
      let sentence = "\(damaged.path): damaged in 1 place; what is missing: at least 1 event"
      #expect(words.contains(sentence), "\(form)")
      #expect(!words.contains("\(Tool.recording): damaged"))
      let without = try Tool.run(plan + [Tool.recording, "--memslots", empty.path] + form)
      #expect(Tool.words(without.output).contains("\(Tool.recording): left out, for "), "\(form)")
    }
  }

  @Test("A share that one VM alone tells is no range")
  func onlyOne() throws {
    let damaged = try Tool.damaged(
      Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path)
    let plan = try Tool.run([
      "capacity", "--vms", "5", "--memory", "1GiB", "--allow-loss", damaged.path,
    ])
    let words = Tool.words(plan.output)
    #expect(words.firstMatch(of: /to read [\d.]+ % in the only VM that tells \(unknown of \d VMs?\)/) != nil)
    #expect(words.firstMatch(of: /held to write [\d.]+ % to [\d.]+ %,/) != nil)
  }

  @Test("Memslots can be given, and are refused where they cannot be")
  func memslots() throws {
    let arguments = ["capacity", Tool.recording, "--vms", "10", "--memory", "1GiB", "--csv", "-"]
    let file = try UnnamedFile(try Tool.run(["info", Tool.recording, "--memslots"]).output.utf8)
    let plain = try Tool.run(arguments)
    let given = try Tool.run(arguments + ["--memslots", file.path])
    #expect(given.status == 0 && given.output == plain.output && !plain.output.isEmpty)
    // Where the guest's memory is in no slot, nothing is touched.
    let elsewhere = try UnnamedFile(#"{"version": 1, "vms": [{"slots": [{"gfn": 1, "pages": 1}]}]}"#.utf8)
    let other = try Tool.run(arguments + ["--memslots", elsewhere.path])
    #expect(other.status == 0 && other.output != plain.output)
    let broken = try UnnamedFile("[]".utf8)
    let refused = try Tool.run(arguments + ["--memslots", broken.path])
    #expect(refused.status == 65 && refused.errorLines.count == 1 && refused.output.isEmpty)
    let twice = try Tool.run(arguments + ["--memslots", file.path, "--memslots", file.path])
    #expect(twice.status == 64 && twice.errorLines.count == 1)
  }

  @Test("Without a recording there are bounds")
  func bounds() throws {
    let outcome = try Tool.run(["capacity", "--vms", "1", "--memory", "1GiB", "--profile", "7.3-traditional"])
    #expect(outcome.status == 0 && outcome.output.contains("no recording"))
  }

  @Test(
    "A recording with protected guests plans for kernels that have none",
    arguments: ["6.14", "v3", "7.0-pkvm"])
  func protectedGuests(profile: String) throws {
    let recording = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.2.12-protected-guest.dat").path
    let outcome = try Tool.run([
      "capacity", recording, "--vms", "1", "--memory", "1GiB", "--profile", profile,
    ])
    #expect(outcome.status == 0 && outcome.output.contains("1 VM of 1 GiB"), "\(outcome.errors)")
  }

  @Test(
    "What cannot be planned is one line and status 64",
    arguments: [
      ["--vms", "0", "--memory", "1GiB"], ["--vms", "1", "--memory", "0"],
      ["--vms", "1", "--memory", "much"], ["--vms", "1", "--memory", "4"],
      ["--vms", "1", "--memory", "-4GiB"],
      ["--vms", "1", "--memory", "1.5"], ["--vms", "1", "--memory", "1.3B"], ["--vms", "1", "--memory", "."],
      ["--vms", "1", "--memory", "16777216TiB"], ["--vms", "1", "--memory", "1..5GiB"],
      ["--vms", "1000000", "--memory", "256TiB"],
      ["--vms", "1", "--memory", "4096TiB"],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try Tool.run(["capacity"] + arguments)
    #expect(outcome.status == 64)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
  }

  @Test("A size has a unit and may have a fraction, for synth, too")
  func sizes() throws {
    func memory(_ text: String) throws -> Int? {
      let outcome = try Tool.run(["capacity", "--vms", "1", "--memory", text, "--json", "-"])
      let plan = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
      return plan?["memoryBytes"] as? Int
    }
    #expect(try memory("1.5GiB") == 3 << 29)
    #expect(try memory("0.25g") == 1 << 28)
    #expect(try memory("8gib") == 8 << 30)
    for (text, words) in [
      ("8GB", "GB is 10^9 bytes: say 8GiB"), ("1.5mb", "MB is 10^6 bytes: say 1.5MiB"),
      ("0GiB", "must be more than 0"), ("0.0MiB", "must be more than 0"),
    ] {
      let refused = try Tool.run(["capacity", "--vms", "1", "--memory", text])
      #expect(refused.status == 64 && refused.errors.contains(words), "\(refused.errors)")
    }
    #expect(try memory("512MiB") == 512 << 20)
    #expect(try memory("4096B") == 4096)
    for arguments in [["capacity", "--vms", "1"], ["synth", "/dev/null"]] {
      let refused = try Tool.run(arguments + ["--memory", "4"])
      #expect(refused.status == 64 && refused.errors.contains("a unit is needed"), "\(refused.errors)")
    }
  }

  private static let folder = Tool.recording.split(separator: "/", omittingEmptySubsequences: false)
    .dropLast().joined(separator: "/")

  private static func plan(_ recording: String, _ arguments: [String]) throws -> [String: Any] {
    let outcome = try Tool.run(
      ["capacity", "\(folder)/\(recording).dat", "--vms", "10", "--memory", "1GiB", "--json", "-"] + arguments
    )
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  @Test("More vCPUs are simulated, so no lock is held for more than all of the time")
  func manyVCPUs() throws {
    let plan = try Self.plan("pkvm-nvhe-7.3.4-page-table-thp", ["--vcpus", "128"])
    let locks = try #require(plan["mmuLock"] as? [[String: Any]])
    let shares = locks.compactMap { $0["writeUtilisation"] as? Double }
    #expect(!shares.isEmpty && shares.allSatisfy { $0 > 0.2 && $0 <= 1 }, "\(shares)")
    #expect(locks.allSatisfy { $0["faultLock"] as? String == "write" && $0["vcpus"] as? Int == 128 })
    let host = try #require(plan["hostLock"] as? [String: Any])
    let most = try #require(host["utilisationMost"] as? Double)
    let alone = try #require(host["perVMMost"] as? Double)
    let saturates = try #require(host["saturatesAtLeast"] as? Double)
    #expect(most > 0 && most <= 1 && abs(saturates * alone - 1) < 1e-9)
  }

  @Test(
    "What is said of the host lock follows from what VMs ask for: they hold less, and saturate it where they ask for all"
  )
  func hostLockOfManyVMs() throws {
    let alone = try #require(try Self.plan("pkvm-nvhe-7.3.4-guest-damon", [])["hostLock"] as? [String: Any])
    let saturates = try #require(alone["saturatesAtLeast"] as? Double)
    let limit = Int(saturates.rounded(.up))
    for vms in [1, 2, 3, 5, limit - 1, limit, 2 * limit] {
      // A later --vms stands for an earlier one.
      let plan = try Self.plan("pkvm-nvhe-7.3.4-guest-damon", ["--vms", String(vms)])
      let host = try #require(plan["hostLock"] as? [String: Any])
      let asked = try #require(host["demandMost"] as? Double)
      let held = try #require(host["utilisationMost"] as? Double)
      #expect(abs(asked - Double(vms) / saturates) < 1e-9 && (asked >= 1) == (vms >= limit))
      #expect(held <= asked && held <= 1 && held > 0.8 * min(asked, 1), "\(held) of \(asked)")
    }
  }

  @Test(
    "Every case lies between nothing and everything touched, figure by figure",
    arguments: ["pkvm-hvhe-7.3.4-16k-demand-paging", "kvm-nvhe-7.2.12-16k-page-table"])
  func bounds(recording: String) throws {
    let cases = try #require(try Self.plan(recording, [])["cases"] as? [[String: Any]])
    let needs = cases.compactMap { $0["vm"] as? [String: Int] }
    let least = try #require(needs.first)
    let most = try #require(needs.last)
    #expect(cases.first?["name"] as? String == "nothing touched")
    #expect(cases.last?["name"] as? String == "all touched, all pages")
    for (need, item) in zip(needs, cases) {
      for (figure, bytes) in need {
        #expect((least[figure]!...most[figure]!).contains(bytes), "\(item["name"]!) \(figure)")
      }
    }
  }

  @Test(
    "What one more VM may need lies between nothing and everything touched, however little memory it has",
    arguments: [
      "pkvm-nvhe-7.3.4-guest-damon", "pkvm-hvhe-7.2.12-16k-plain-guest", "kvm-vhe-7.3.4-plain-guest",
    ],
    ["64KiB", "1MiB", "1GiB"])
  func prediction(recording: String, memory: String) throws {
    let plan = try Self.plan(recording, ["--memory", memory])
    let cases = try #require(plan["cases"] as? [[String: Any]])
    let totals = cases.compactMap { $0["vmTotalBytes"] as? Int }
    let group = try #require((plan["groups"] as? [[String: Any]])?.first)
    let total = try #require((group["predicted"] as? [String: [String: Any]])?["totalBytes"])
    let (least, most) = (try #require(total["least"] as? Int), try #require(total["most"] as? Int))
    #expect(least >= totals.first! && most <= totals.last!, "\(least) to \(most) of \(totals)")
    if total["isAllPossible"] as? Bool == true { #expect(least == totals.first! && most == totals.last!) }
    // No more mappings than pages, besides those of slots that are no RAM.
    let bytes = try #require(plan["memoryBytes"] as? Int)
    let page = try #require(plan["pageSizeBytes"] as? Int)
    let tree = try #require((cases.last?["vm"] as? [String: Int])?["mappingTreeBytes"])
    #expect(tree <= (bytes / page + 64) * 64, "\(tree)")
  }

  @Test("Under a kernel that leaves open what a VM would have had, the tables of VMs show the range")
  func ranges() throws {
    let plan = try Self.plan("pkvm-nvhe-7.3.4-guest-damon", ["--profile", "6.14"])
    let sample = try #require((plan["samples"] as? [[String: Any]])?.first)
    func total(_ peak: String) throws -> Double {
      try #require((sample[peak] as? [String: Double])?["totalBytes"])
    }
    let (least, most) = (try total("peak"), try total("peakMost"))
    #expect(least < most)
    let group = try #require((plan["groups"] as? [[String: Any]])?.first)
    let figures = try #require(group["distribution"] as? [[String: Any]])
    let figure = try #require(figures.first { $0["figure"] as? String == "totalBytesPerGiB" })
    func value(_ name: String) throws -> Double {
      try #require((figure[name] as? [String: Any])?["value"] as? Double)
    }
    let ram = try #require(sample["ramBytes"] as? Double) / Double(1 << 30)
    let shown = try ["least", "median", "most"].map { try value($0) * ram }
    #expect(zip(shown, [least, (least + most) / 2, most]).allSatisfy { abs($0 - $1) < 1 }, "\(shown)")
    let outcome = try Tool.run([
      "capacity", "\(Self.folder)/pkvm-nvhe-7.3.4-guest-damon.dat", "--vms", "10", "--memory", "1GiB",
      "--profile", "6.14",
    ])
    let lines = outcome.output.split(separator: "\n")
    let row = try #require(lines.firstIndex { $0.hasPrefix("  0:0 ") })
    #expect(lines[row].contains(String(format: "%.1f KiB", least / 1024)), "\(lines[row])")
    let words = lines[row + 1].split(separator: " ")
    #expect(
      words.first == "to" && lines[row + 1].contains(String(format: "%.1f MiB", most / 1_048_576)),
      "\(lines[row + 1])")
    #expect(outcome.output.contains("had at the peak, under 6.14 from the least to the most"))
  }

  @Test("Memory that is no whole number of the host's pages is refused, with what is near it")
  func wholePages() throws {
    let small = try Tool.run(["capacity", "--vms", "1", "--memory", "4097B"])
    #expect(
      small.status == 64
        && small.errors.contains("--memory 4097B is no whole number of the host's pages of 4 KiB"))
    #expect(small.errors.contains("say 4KiB or 8KiB"), "\(small.errors)")
    let large = try Tool.run(["capacity", "--vms", "1", "--memory", "4KiB", "--page-size", "64K"])
    #expect(large.status == 64 && large.errors.contains("pages of 64 KiB, which a memslot has: say 64KiB"))
  }

  @Test("A host lock whose costs do not fit is unknown, and the limit of protected-mode VMs is named")
  func limits() throws {
    let path = "\(Self.folder)/pkvm-hvhe-7.3.4-16k-demand-paging.dat"
    let outcome = try Tool.run(["capacity", path, "--vms", "256", "--memory", "1GiB"])
    #expect(outcome.output.contains("unknown: the costs fit with an error of 1"))
    #expect(outcome.output.contains("unknown (1 sample: anything possible)"))
    #expect(outcome.output.contains("255 protected-mode VMs at most (KVM_MAX_PVMS, assumed)"))
    let few = try Tool.run(["capacity", path, "--vms", "255", "--memory", "1GiB", "--costs", "assumed"])
    #expect(!few.output.contains("KVM_MAX_PVMS") && few.output.contains("not scaled to the planned ones"))
    let other = ["capacity", "--vms", "256", "--memory", "1GiB", "--profile", "7.3-traditional"]
    #expect(!(try Tool.run(other).output.contains("KVM_MAX_PVMS")))
  }

  @Test("What nobody recorded of mmu_lock is unknown to a plan, and its words say of what its shares are")
  func words() throws {
    let arguments = ["capacity", Tool.guestBoot, "--vms", "100", "--memory", "4GiB", "--costs", "assumed"]
    let text = try Tool.run(arguments).output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(text.contains("of the time from the first recorded section of a vCPU to the last, held to write"))
    #expect(text.contains("to read unknown (modelled)"))
    #expect(text.contains("mean wait, at most ") && !text.contains("at most, on average"))
    #expect(
      text.contains("saturated, so that they ask for all of the time or more and slow each other down, from ")
    )
    #expect(text.contains("mean mix: blocks and pages in the proportion"))
    let lock = try #require(
      try Self.plan("pkvm-nvhe-7.3.4-guest-damon", [])["mmuLock"] as? [[String: Any]])
    #expect(
      lock.allSatisfy { $0["readUtilisation"] == nil && $0["writeUtilisation"] != nil } && !lock.isEmpty)
  }

  @Test("Costs that no figure rests on are said to be of no account")
  func unusedCosts() throws {
    let unused = try Tool.run([
      "capacity", "--vms", "1", "--memory", "1GiB", "--profile", "7.3-traditional", "--costs", "assumed",
    ])
    #expect(unused.status == 0 && unused.errors.contains("--costs assumed: of no account"))
  }

  @Test("A plan for the traditional path has no lock of pKVM, and no tree")
  func traditional() throws {
    let plan = try Self.plan("pkvm-nvhe-7.3.4-page-table-thp", ["--profile", "7.3-traditional"])
    #expect(plan["hostLock"] == nil && plan["lockMost"] == nil)
    #expect((plan["mmuLock"] as? [Any])?.isEmpty == true)
    let cases = try #require(plan["cases"] as? [[String: Any]])
    let trees = cases.compactMap { ($0["vm"] as? [String: Any])?["mappingTreeBytes"] as? Int }
    #expect(trees.count == cases.count && trees.allSatisfy { $0 == 0 })
  }

  @Test("A protected guest's floor is pages, and every VM is a sample")
  func protected() throws {
    let plan = try Self.plan("pkvm-nvhe-7.2.12-16k-mixed-guests", [])
    let samples = try #require(plan["samples"] as? [[String: Any]])
    #expect(samples.compactMap { $0["protected"] as? Bool }.sorted { !$0 && $1 } == [false, true])
    let cases = try #require(plan["cases"] as? [[String: Any]])
    func names(_ protected: Bool) -> Set<String> {
      Set(cases.filter { $0["protected"] as? Bool == protected }.compactMap { $0["name"] as? String })
    }
    #expect(names(false).contains("all touched, all blocks"))
    #expect(
      !names(true).contains("all touched, all blocks") && names(true).contains("all touched, all pages"))
  }

  @Test("The curve of a VM ends at its peak, and a VM that still grew is said not to have settled")
  func curve() throws {
    let outcome = try Tool.run([
      "capacity", "\(Self.folder)/pkvm-nvhe-7.3.4-ksm-guest.dat", "--vms", "1", "--memory", "160MiB",
      "--curve", "-",
    ])
    let rows = outcome.output.split(separator: "\n").dropFirst().map {
      $0.split(separator: ",").map(String.init)
    }
    #expect(rows.count > 10)
    let times = rows.compactMap { Int($0[3]) }
    #expect(times == times.sorted())
    #expect(rows.compactMap { Int($0[4]) }.max() == 487_104)
    let plan = try Self.plan("pkvm-nvhe-7.3.4-ksm-guest", [])
    let sample = try #require((plan["samples"] as? [[String: Any]])?.first)
    // The kernel's own marker counts 4,082 objects a little before the model's 4,283.
    #expect((sample["peak"] as? [String: Any])?["mappings"] as? Int == 4283)
    #expect(sample["ramBytes"] as? Int == 160 << 20, "the flash and the device are no RAM")
    #expect((sample["curve"] as? [String: Any])?["settled"] as? String == "no")
  }
}
