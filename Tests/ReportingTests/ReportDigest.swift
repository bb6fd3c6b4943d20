import Foundation
import Testing
import UnnamedFiles

/// What a person reads of a JSON report when a change is reviewed: its totals under the names that they have there, one
/// line where that fits, and the hash of the whole, which changes when a detail does that the totals do not show.
struct ReportDigest {
  /// As it stands in `traces/golden`.
  let text: String

  /// The digest of a report; throws when it is no such report.
  init(report: String) throws {
    let root = try #require(try JSONSerialization.jsonObject(with: Data(report.utf8)) as? Fields)
    var digest = Fields()
    digest["sha256"] = try Self.hash(report)
    digest["profile"] = root["profile"]
    digest["profileBasis"] = root["profileBasis"]
    digest["unattributedFaults"] = root["unattributedFaults"]
    digest["unattributedNotifiers"] = root["unattributedNotifiers"]
    digest["inputs"] = Self.list(root["inputs"]).map {
      Self.pick(["events", "lossCount", "lostEvents"], of: $0)
    }
    digest["agreement"] = (root["agreement"] as? Fields)?.compactMapValues { score in
      (score as? Fields).map(Self.counting)
    }
    digest["divergences"] = Self.divergences(root["divergences"])
    digest["markerVerdicts"] = Self.verdicts(root["memoryMarkers"])
    let vms = Self.list(root["vms"])
    let isLong = vms.count > Self.mostVMsInFull
    digest["vms"] = vms.map { isLong ? Self.shortVM($0) : Self.vm($0) }
    text = DigestText.text(digest) + "\n"
  }

  typealias Fields = [String: Any]

  /// Of more VMs than these, each is one line.
  private static let mostVMsInFull = 10

  private static func list(_ value: Any?) -> [Fields] { value as? [Fields] ?? [] }

  private static func pick(_ names: [String], of value: Any?) -> Fields {
    (value as? Fields ?? [:]).filter { names.contains($0.key) }
  }

  /// The object with the number of the elements in place of each list.
  private static func counting(_ fields: Fields) -> Fields {
    fields.mapValues { ($0 as? [Any])?.count ?? $0 }
  }

  private static func vm(_ vm: Fields) -> Fields {
    var digest = pick(
      [
        "id", "protected", "faults", "faultsWithoutOperation", "operations", "hypercalls", "hypercallsTotal",
        "endBasis",
      ], of: vm)
    digest["slots"] = list(vm["slots"]).count
    digest["vcpus"] = list(vm["vcpus"]).count
    digest["divergences"] = pick(["explained", "unexplained", "unknown"], of: vm["divergences"])
    digest["memory"] = pick(
      ["mappings", "tablePages", "mappingTreeBytes", "memcachePages", "totalBytes", "basis"],
      of: vm["memory"])
    digest["lock"] = lock(vm["lock"])
    digest["workingSet"] = pick(["pages", "blockPages"], of: vm["workingSet"])
    return digest
  }

  private static func lock(_ value: Any?) -> Fields? {
    guard let lock = value as? Fields else { return nil }
    var digest = pick(["basis", "utilisation"], of: lock)
    let totals = ["acquisitions", "heldNs", "waits", "waitNs"]
    digest["read"] = lock["read"].map { pick(totals, of: $0) }
    digest["write"] = lock["write"].map { pick(totals, of: $0) }
    return digest
  }

  private static func shortVM(_ vm: Fields) -> Fields {
    let operations = (vm["operations"] as? Fields ?? [:]).compactMapValues { ($0 as? Fields)?["count"] }
    let memory = vm["memory"] as? Fields
    return [
      "id": vm["id"] ?? "none", "faults": pick(["total"], of: vm["faults"]), "operations": operations,
      "mappings": pick(["live", "peak"], of: memory?["mappings"]),
    ]
  }

  /// How many there are of each verdict, and of each rule with its verdict and what explains it.
  private static func divergences(_ value: Any?) -> Fields {
    let report = value as? Fields ?? [:]
    var rules: [String: Int] = [:]
    for item in list(report["items"]) {
      let words = ["rule", "verdict", "exception"].compactMap { item[$0] as? String }
      rules[words.joined(separator: " "), default: 0] += item["count"] as? Int ?? 0
    }
    var digest = pick(["explained", "unexplained", "unknown"], of: report)
    digest["rules"] = rules
    return digest
  }

  private static func verdicts(_ markers: Any?) -> [String: Int] {
    var verdicts: [String: Int] = [:]
    for figure in list(markers).flatMap({ list($0["figures"]) }) {
      verdicts[figure["verdict"] as? String ?? "none", default: 0] += 1
    }
    return verdicts
  }

  /// SHA-256 in hexadecimal, as `sha256sum` prints it.
  private static func hash(_ text: String) throws -> String {
    let file = try UnnamedFile()
    try FileHandle(forWritingAtPath: file.path)?.write(contentsOf: Data(text.utf8))
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["sha256sum"]
    process.standardInput = FileHandle(forReadingAtPath: file.path)
    process.standardOutput = output
    try process.run()
    let line = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let hash = String(decoding: line.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
    try #require(hash.count == 64, "sha256sum prints \(hash)")
    return hash
  }
}

/// JSON in few lines: what fits into one is one.
enum DigestText {
  /// The most columns that an object or a list takes in one line, its name and what is around it left out.
  private static let width = 110

  static func text(_ value: Any, indent: Int = 0) -> String {
    let line = oneLine(value)
    // The outermost object is one piece a line, however short.
    if indent > 0 && line.count <= width { return line }
    let inner = "\n" + String(repeating: " ", count: indent + 2)
    let end = "\n" + String(repeating: " ", count: indent)
    switch value {
    case let fields as [String: Any]:
      let pieces = fields.sorted { $0.key < $1.key }.map {
        "\(inner)\"\($0.key)\": \(text($0.value, indent: indent + 2))"
      }
      return "{\(pieces.joined(separator: ","))\(end)}"
    case let elements as [Any]:
      return "[\(elements.map { inner + text($0, indent: indent + 2) }.joined(separator: ","))\(end)]"
    default:
      return line
    }
  }

  private static func oneLine(_ value: Any) -> String {
    let options: JSONSerialization.WritingOptions = [.sortedKeys, .fragmentsAllowed, .withoutEscapingSlashes]
    let data = (try? JSONSerialization.data(withJSONObject: value, options: options)) ?? Data("null".utf8)
    return String(decoding: data, as: UTF8.self)
  }
}
