import Foundation
import Testing

/// The verb `schema`, and the schemas beside the pages that say the same in prose. `tools/schemas` holds them against what the program
/// writes.
@Suite("Schemas")
struct SchemaTests {
  /// What `schema` lists.
  private static let names: [String] = {
    let lines = (try? Tool.run(["schema"]).output)?.split(separator: "\n").dropFirst() ?? []
    // What is further in goes on with the line before.
    return lines.filter { !$0.hasPrefix("   ") }
      .compactMap { $0.split(separator: " ").first.map(String.init) }
  }()

  @Test("They are listed, each with what it describes")
  func list() throws {
    let outcome = try Tool.run(["schema"])
    #expect(outcome.status == 0 && outcome.errors.isEmpty)
    #expect(outcome.output.hasPrefix("  schema "))
    #expect(outcome.output.contains("The report of replay --json."))
    #expect(Self.names.contains("replay") && Self.names.contains("rules"))
    #expect(Self.names == Self.names.sorted())
  }

  @Test("A program that is copied alone has them, too")
  func copied() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "schema-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let script = "cp $tool \"$1/p\" && cd \"$1\" && ./p schema replay"
    let outcome = try Tool.shell(script, [folder.path()])
    #expect(outcome.status == 0 && outcome.errors.isEmpty)
    let file = Tool.root.appending(path: "Sources/Reporting/Schemas/replay.schema.json")
    #expect(try outcome.output == String(contentsOf: file, encoding: .utf8))
  }

  @Test("A name that none has is one line, with what may have been meant")
  func unknownName() throws {
    let near = try Tool.run(["schema", "repaly"])
    #expect(near.status == 64 && near.output.isEmpty && near.errorLines.count == 1)
    #expect(near.errors.contains("no schema 'repaly'; did you mean replay?"), "\(near.errors)")
    let far = try Tool.run(["schema", "something"])
    #expect(far.status == 64 && far.errorLines.count == 1)
    #expect(far.errors.contains("; there are \(Self.names.joined(separator: ", "))"), "\(far.errors)")
  }

  @Test("A shell completes their names")
  func completion() throws {
    let script = try Tool.run(["--generate-completion-script", "bash"]).output
    for name in Self.names { #expect(script.contains(name), "\(name)") }
  }

  @Test("The pages have every field of the schemas, and the schemas every field of the pages")
  func pages() throws {
    let profile = try Self.fields(of: "profile")
    var described: [String: Set<String>] = [:]
    for name in Self.names {
      let page = Self.pages[name] ?? Self.files
      let schema = try Self.schema(name)
      var fields: Set<String> = []
      Self.collect(schema, "properties", &fields)
      var values = fields
      Self.collect(schema, "enum", &values)
      described[page, default: []].formUnion(values)
      // Of a profile the page Files tells, wherever it stands.
      let missing = fields.subtracting(profile).subtracting(Self.words(try Self.text(page))).sorted()
      #expect(missing.isEmpty, "\(page) lacks \(missing) of \(name)")
    }
    for (page, known) in described {
      let blocks = try Self.text(page).split(separator: "```").enumerated()
        .filter { !$0.offset.isMultiple(of: 2) && $0.element.contains("schemaVersion") }
      let strange = blocks.reduce(into: Set<String>()) { found, block in
        found.formUnion(Self.words(String(block.element)).filter(Self.isField).filter { !known.contains($0) })
      }
      #expect(strange.isEmpty, "no schema has \(strange.sorted()) of \(page)")
    }
  }

  /// The page that has the fields of a schema in prose, where that is not `files`.
  private static let pages = [
    "replay": "Reporting/Reporting.docc/Report", "info": "Reporting/Reporting.docc/Report",
    "memslots": "Stage2Replay/Stage2Replay.docc/Memslots",
  ]
  private static let files = "Reporting/Reporting.docc/Files"

  /// A word in mixed case that is no name of something else: what a block has but fields are plain words.
  private static func isField(_ word: String) -> Bool {
    word.first?.isLowercase == true && word.contains(where: \.isUppercase)
      && !["pKVM", "vCPUs"].contains(word)
  }

  private static func text(_ page: String) throws -> String {
    try String(contentsOf: Tool.root.appending(path: "Sources/\(page).md"), encoding: .utf8)
  }

  private static func words(_ text: String) -> Set<String> {
    Set(text.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init))
  }

  private static func schema(_ name: String) throws -> Any {
    try JSONSerialization.jsonObject(with: Data(try Tool.run(["schema", name]).output.utf8))
  }

  private static func fields(of name: String) throws -> Set<String> {
    var fields: Set<String> = []
    collect(try schema(name), "properties", &fields)
    return fields
  }

  /// The names of all `properties`, or the words of every `enum`.
  private static func collect(_ value: Any, _ keyword: String, _ found: inout Set<String>) {
    if let object = value as? [String: Any] {
      if let fields = object[keyword] as? [String: Any] { found.formUnion(fields.keys) }
      if let words = object[keyword] as? [String] { found.formUnion(words) }
      for member in object.values { collect(member, keyword, &found) }
    } else if let list = value as? [Any] {
      for item in list { collect(item, keyword, &found) }
    }
  }
}
