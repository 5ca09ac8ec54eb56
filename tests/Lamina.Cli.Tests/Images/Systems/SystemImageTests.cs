using System.Formats.Tar;
using System.Text;
using Lamina.Cli.Arguments;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Systems;
using Lamina.Cli.Tools;
using Lamina.Storage;

namespace Lamina.Cli.Tests.Images.Systems;

/// <summary>Names, the store, and the building of images with a whole system, with tools of the host that do as they should or not.</summary>
public sealed class SystemImageTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("lamina-images").FullName;
    private readonly SystemTools _tools = new();

    private SystemImageStore Store => new(_root);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("debian", "bookworm", "debian")]
    [InlineData("debian:trixie", "trixie", "debian-trixie")]
    public void NamesAreUnderstood(string text, string suite, string directory)
    {
        SystemImageName name = SystemImageName.Parse(text);
        Assert.Equal((suite, directory, text), (name.Suite, name.DirectoryName, name.ToString()));
    }

    [Theory]
    [InlineData("debian:")]
    [InlineData("debian:../x")]
    [InlineData("debian:Trixie")]
    [InlineData("fedora")]
    [InlineData("debian-small")]
    public void WhatIsNoNameIsRefused(string text) => Assert.False(SystemImageName.TryParse(text, out _));

    [Fact]
    public void AnImageIsBuiltListedUsedAndRemoved()
    {
        SystemImage image = Build();
        Assert.Equal(("6.1.0-9-cloud-amd64", "make,git"), (image.Kernel, image.Extra));
        Assert.Equal("kernel", File.ReadAllText(image.GetPath(SystemImage.KernelFile)));
        Assert.Equal(["04-virtio_pci.ko", "05-virtio_blk.ko"], Directory.GetFiles(image.GetPath(SystemImage.ModuleDirectory)).Select(Path.GetFileName).Order());
        Assert.Equal("unpacked", File.ReadAllText(image.GetPath("modules/05-virtio_blk.ko")));
        Assert.Contains("sif \"/etc/shadow\" gid 42", _tools.Commands, StringComparison.Ordinal);
        Assert.Equal(["debian"], Store.List().Select(i => i.Name.ToString()));
        Assert.Equal(["debian"], Directory.GetFileSystemEntries(Path.Combine(_root, "images")).Select(Path.GetFileName));

        // Again, in its place.
        image = Build();
        ImageSession session = new() { Mode = SessionMode.Command, Hardware = GuestHardware.Network, Command = [Encoding.UTF8.GetBytes("true")] };
        string overlays = Path.Combine(_root, "overlays");
        TemporaryFiles temporary = new(() => overlays);
        PreparedSystem system = PreparedSystem.Create(image, Store, session, new RunOptions(), quiet: true, temporary);
        Assert.Equal(overlays, Path.GetDirectoryName(system.Disk.Path));
        using (DiskImage disk = DiskImages.Open(system.Disk.Path, null, writable: true))
        {
            Assert.Equal(image.GetPath(SystemImage.DiskFile), disk.BackingPath);
        }

        temporary.Remove();
        Assert.Empty(Directory.GetFiles(overlays));
        for (int run = 0; run < 2; run++)
        {
            system = PreparedSystem.Create(image, Store, session, new RunOptions { Name = "box", Persist = true }, quiet: true, temporary);
            temporary.Remove();
            Assert.True(File.Exists(system.Disk.Path));
            Assert.Contains("systemd.hostname=box", system.Boot.CommandLine, StringComparison.Ordinal);
        }

        string refusal = Assert.Throws<LaminaException>(() => Store.Remove(image.Name)).Message;
        Assert.Contains(system.Disk.Path, refusal, StringComparison.Ordinal);
        Assert.Throws<LaminaException>(Build);
        File.Delete(system.Disk.Path);
        Store.Remove(image.Name);
        Assert.Empty(Store.List());
        Assert.Contains("there is no image", Assert.Throws<LaminaException>(() => Store.Remove(image.Name)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatGoesWrongIsNamedAndLeavesNothing()
    {
        _tools.Missing = "mmdebstrap";
        Assert.Contains("apt-get install mmdebstrap", Assert.Throws<LaminaException>(Build).Message, StringComparison.Ordinal);
        _tools.Missing = null;
        _tools.Failure = "E: no such suite";
        Assert.Equal("mmdebstrap could not install Debian bookworm: no such suite", Assert.Throws<LaminaException>(Build).Message);
        _tools.Failure = null;
        _tools.HasKernel = false;
        Assert.Contains("linux-image-cloud-amd64", Assert.Throws<LaminaException>(Build).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_root, "images")));
        Assert.Throws<LaminaException>(() => ImageCatalog.Get("debian:trixie"));
        Assert.Throws<LaminaException>(() => SystemImageBuilder.ParsePackages(["git,-x"]));
        Assert.Throws<LaminaException>(() => SystemImageBuilder.ParseSize("5M"));
    }

    [Theory]
    [InlineData("../outside")]
    [InlineData("./a/../../outside")]
    [InlineData("link/outside")]
    public void AnArchiveStaysInItsDirectory(string name)
    {
        string inside = Directory.CreateDirectory(Path.Combine(_root, "tree")).FullName;
        using MemoryStream archive = new();
        using (TarWriter writer = new(archive, leaveOpen: true))
        {
            writer.WriteEntry(new PaxTarEntry(TarEntryType.SymbolicLink, "./link") { LinkName = ".." });
            writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream([1]) });
        }

        archive.Position = 0;
        Assert.Throws<InvalidDataException>(() => new FileTree(inside).Unpack(archive));
        Assert.False(File.Exists(Path.Combine(_root, "outside")));
    }

    private SystemImage Build()
    {
        return new SystemImageBuilder(Store, _tools, new RecordedProgress()).Build(SystemImageName.Parse("debian"), ["make", "git"], SystemImageBuilder.DefaultSize, null, CancellationToken.None);
    }

    private sealed class SystemTools : IToolRunner
    {
        public string? Missing { get; set; }

        public string? Failure { get; set; }

        public bool HasKernel { get; set; } = true;

        public string Commands { get; private set; } = "";

        public bool Exists(string tool) => tool != Missing;

        public ToolResult Run(string tool, IReadOnlyList<string> arguments, string? directory, Action<string>? onOutput, CancellationToken cancellation)
        {
            if (tool == "mke2fs")
            {
                File.WriteAllBytes(arguments[^2], new byte[1 << 20]);
            }
            else if (tool == "debugfs")
            {
                Commands = File.ReadAllText(arguments[^2]);
            }

            return new ToolResult(0, "", "");
        }

        public ToolResult RunAndRead(string tool, IReadOnlyList<string> arguments, Action<Stream> reader, CancellationToken cancellation)
        {
            if (tool == "xz")
            {
                reader(new MemoryStream(Encoding.ASCII.GetBytes("unpacked")));
                return new ToolResult(0, "", "");
            }

            using MemoryStream archive = new();
            using (TarWriter writer = new(archive, leaveOpen: true))
            {
                const string Modules = "./lib/modules/6.1.0-9-cloud-amd64/kernel/drivers";
                foreach (string path in (string[])["./", "./etc/", "./bin/", "./boot/", "./lib/", "./lib/modules/", "./lib/modules/6.1.0-9-cloud-amd64/", "./lib/modules/6.1.0-9-cloud-amd64/kernel/", $"{Modules}/", $"{Modules}/virtio/", $"{Modules}/block/"])
                {
                    writer.WriteEntry(new PaxTarEntry(TarEntryType.Directory, path));
                }

                string[] files = ["./etc/shadow", "./bin/busybox", $"{Modules}/virtio/virtio_pci.ko", $"{Modules}/block/virtio_blk.ko.xz"];
                foreach (string path in HasKernel ? [.. files, "./boot/vmlinuz-6.1.0-9-cloud-amd64"] : files)
                {
                    writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, path) { Gid = path.EndsWith("shadow", StringComparison.Ordinal) ? 42 : 0, DataStream = new MemoryStream("kernel"u8.ToArray()) });
                }

                writer.WriteEntry(new PaxTarEntry(TarEntryType.HardLink, "./bin/second") { LinkName = "./bin/busybox" });
            }

            archive.Position = 0;
            reader(archive);
            return Failure == null ? new ToolResult(0, "", "") : new ToolResult(25, "", $"I: starting\n{Failure}\n");
        }
    }
}
