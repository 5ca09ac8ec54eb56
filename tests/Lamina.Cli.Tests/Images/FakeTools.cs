using System.Formats.Tar;
using System.Text;
using Lamina.Cli.Tools;

namespace Lamina.Cli.Tests.Images;

/// <summary>apt and dpkg of a small distribution.</summary>
internal sealed class FakeTools : IToolRunner
{
    private readonly Lock _lock = new();
    private readonly List<string> _calls = [];

    /// <summary>Tools this host does not have.</summary>
    public HashSet<string> Missing { get; } = [];

    /// <summary>Whether the host has package lists.</summary>
    public bool HasLists { get; set; } = true;

    /// <summary>Whether anything can be downloaded.</summary>
    public string? DownloadError { get; set; }

    /// <summary>Files of the kernel package.</summary>
    public Dictionary<string, string> KernelFiles { get; } = new(StringComparer.Ordinal)
    {
        ["./boot/System.map-6.1.0-9-cloud-amd64"] = "map",
        ["./boot/vmlinuz-6.1.0-9-cloud-amd64"] = "kernel",
        ["./lib/modules/6.1.0-9-cloud-amd64/kernel/drivers/misc/pvpanic/pvpanic.ko"] = "module",
    };

    /// <summary>Called while the packages are downloaded.</summary>
    public Action? WhileDownloading { get; set; }

    /// <summary>What was run.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_lock)
            {
                return [.. _calls];
            }
        }
    }

    public bool Exists(string tool) => !Missing.Contains(tool);

    public ToolResult Run(string tool, IReadOnlyList<string> arguments, string? directory, Action<string>? onOutput, CancellationToken cancellation)
    {
        string name = Path.GetFileName(tool);
        string[] words = [.. arguments.Where((a, i) => !a.StartsWith('-') && (i == 0 || arguments[i - 1] != "-o"))];
        bool privateLists = arguments.Any(a => a.StartsWith("Dir::State::Lists=", StringComparison.Ordinal));
        lock (_lock)
        {
            _calls.Add($"{name} {string.Join(' ', words)}{(privateLists ? " (own lists)" : "")}".TrimEnd());
        }

        cancellation.ThrowIfCancellationRequested();
        return name switch
        {
            "apt-cache" when !HasLists && !privateLists => new ToolResult(100, "", "E: No packages found\n"),
            "apt-cache" => new ToolResult(0, Show(words[^1]), ""),
            "apt-get" when words[0] == "download" => Download(words[1..], directory!, onOutput),
            "busybox" => new ToolResult(0, "cat\nls\n", ""),
            _ => new ToolResult(0, "", ""),
        };
    }

    public ToolResult RunAndRead(string tool, IReadOnlyList<string> arguments, Action<Stream> reader, CancellationToken cancellation)
    {
        bool kernel = Path.GetFileName(arguments[^1]).StartsWith("linux-image", StringComparison.Ordinal);
        using MemoryStream archive = new();
        using (TarWriter writer = new(archive, leaveOpen: true))
        {
            foreach ((string name, string content) in kernel ? KernelFiles : new Dictionary<string, string> { ["./bin/busybox"] = "busybox" })
            {
                writer.WriteEntry(new GnuTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(content)) });
            }
        }

        archive.Position = 0;
        reader(archive);
        return new ToolResult(0, "", "");
    }

    private static string Show(string package)
    {
        return package switch
        {
            "linux-image-cloud-amd64" =>
                "Package: linux-image-cloud-amd64\nVersion: 6.1.9-1\nDepends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.9-1)\nDescription: a\n b\n\nPackage: other\n",
            _ => $"Package: {package}\nVersion: 1:6.1.9-1\nSize: 1048576\n\n",
        };
    }

    private ToolResult Download(string[] packages, string directory, Action<string>? onOutput)
    {
        WhileDownloading?.Invoke();
        if (DownloadError != null)
        {
            return new ToolResult(100, "", $"W: something\nE: {DownloadError}\nE: more\n");
        }

        onOutput?.Invoke("dlstatus:1:50.0:Retrieving");
        foreach (string package in packages)
        {
            File.WriteAllText(Path.Combine(directory, $"{package.Split('=')[0]}_1%3a6.1.9-1_amd64.deb"), "deb");
        }

        return new ToolResult(0, "", "");
    }
}
