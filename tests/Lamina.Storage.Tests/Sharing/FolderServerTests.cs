using System.Text;
using Lamina.Storage.Sharing;

namespace Lamina.Storage.Tests.Sharing;

/// <summary>A shared folder, by messages of its protocol: what works, what is kept in, and what a hostile guest gets.</summary>
public sealed class FolderServerTests : IDisposable
{
    private const ulong Root = 1;
    private const int NoEntry = 2;
    private const int NotDirectory = 20;
    private const int Invalid = 22;
    private const int ReadOnly = 30;
    private readonly TemporaryDirectory _directory = new();
    private readonly string _folder;

    public FolderServerTests()
    {
        _folder = _directory["shared"];
        Directory.CreateDirectory(Path.Combine(_folder, "sub"));
        File.WriteAllText(Path.Combine(_folder, "file"), "content");
        File.WriteAllText(_directory["secret"], "secret");
        File.CreateSymbolicLink(Path.Combine(_folder, "out"), "../secret");
        Directory.CreateSymbolicLink(Path.Combine(_folder, "up"), "..");
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void FilesAreFoundReadAndForgotten()
    {
        using FuseClient client = new(_folder);
        (int error, ulong file) = client.Lookup(Root, "file");
        Assert.Equal(0, error);
        Assert.Equal(file, client.Lookup(Root, "file").Node);
        Assert.Equal(NoEntry, client.Lookup(Root, "none").Error);
        ulong handle = client.Open(file, 0).Handle;
        Assert.Equal("content", Encoding.ASCII.GetString(client.Read(file, handle, 0, 100).Data));
        Assert.Equal("tent", Encoding.ASCII.GetString(client.Read(file, handle, 3, 100).Data));
        Assert.Empty(client.Read(file, handle, 100, 100).Data);
        Assert.Equal(1, client.Server.KnownFiles);
        client.Tell(FuseOperation.Forget, file, FuseClient.Longs(1));
        Assert.Equal(1, client.Server.KnownFiles);
        client.Tell(FuseOperation.BatchForget, 0, [.. FuseClient.Words(1, 0), .. FuseClient.Longs(file, 5)]);
        Assert.Equal(0, client.Server.KnownFiles);
        Assert.Equal(NoEntry, client.Send(FuseOperation.GetAttributes, file, new byte[16]).Error);
        client.Send(FuseOperation.Release, file, FuseClient.Longs(handle));
        Assert.NotEqual(0, client.Read(file, handle, 0, 100).Error);
    }

    [Fact]
    public void AGuestKeepsNoMoreFilesOpenThanItsShare()
    {
        const int TooMany = 23;
        DescriptorShare share = new(3);
        using FuseClient client = new(_folder, share: share);
        using FuseClient other = new(_folder, share: share);
        ulong file = client.Lookup(Root, "file").Node;
        ulong directory = client.Lookup(Root, "sub").Node;
        ulong handle = client.Open(file, 0).Handle;
        int before = CountDescriptors();
        Assert.True(before >= 5, $"{before} descriptors of the folder are open, and the guest holds three files beside two roots.");
        Assert.Equal((TooMany, TooMany, TooMany), (client.Lookup(Root, "out").Error, client.Open(file, 0).Error, other.Lookup(Root, "file").Error));
        Assert.Equal(before, CountDescriptors());

        // What it knows already it may look up again; what it gives back, it or another guest can have.
        Assert.Equal((0, file), client.Lookup(Root, "file"));
        client.Tell(FuseOperation.Forget, directory, FuseClient.Longs(1));
        Assert.Equal(0, other.Lookup(Root, "file").Error);
        Assert.Equal(TooMany, client.Lookup(Root, "sub").Error);
        client.Send(FuseOperation.Release, file, FuseClient.Longs(handle));
        Assert.Equal(0, client.Lookup(Root, "sub").Error);
    }

    [Theory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("")]
    [InlineData("sub/../../secret")]
    [InlineData("/etc/passwd")]
    [InlineData("up/secret")]
    public void NamesAreSingleComponents(string name)
    {
        using FuseClient client = new(_folder);
        Assert.Equal(Invalid, client.Lookup(Root, name).Error);
        Assert.Equal(Invalid, client.Send(FuseOperation.Unlink, Root, FuseClient.Text(name)).Error);
        Assert.Equal(Invalid, client.Send(FuseOperation.MakeDirectory, Root, FuseClient.Words(0x1ff, 0), FuseClient.Text(name)).Error);
        Assert.Equal(Invalid, client.Send(FuseOperation.Create, Root, FuseClient.Words(0x42, 0x1a4, 0, 0), FuseClient.Text(name)).Error);
        Assert.Equal(Invalid, client.Send(FuseOperation.Rename, Root, FuseClient.Longs(Root), FuseClient.Text("file"), FuseClient.Text(name)).Error);
        Assert.Equal("secret", File.ReadAllText(_directory["secret"]));
    }

    [Fact]
    public void SymbolicLinksAreTheGuestsToFollow()
    {
        using FuseClient client = new(_folder);
        ulong link = client.Lookup(Root, "out").Node;
        Assert.Equal("../secret", Encoding.ASCII.GetString(client.Send(FuseOperation.ReadLink, link).Body));
        Assert.Equal(Invalid, client.Open(link, 0).Error);
        Assert.Equal(Invalid, client.Open(link, 1).Error);
        Assert.NotEqual(0, client.Open(link, 0, directory: true).Error);
        ulong up = client.Lookup(Root, "up").Node;
        Assert.Equal(NotDirectory, client.Lookup(up, "secret").Error);
        Assert.NotEqual(0, client.Open(up, 0, directory: true).Error);
        Assert.NotEqual(0, client.Send(FuseOperation.Create, up, FuseClient.Words(0x42, 0x1a4, 0, 0), FuseClient.Text("new")).Error);

        // Creating through a link that is there, with or without O_EXCL, must not reach what it means; nor must a change of length or permissions.
        Assert.NotEqual(0, client.Send(FuseOperation.Create, Root, FuseClient.Words(0x242, 0x1a4, 0, 0), FuseClient.Text("out")).Error);
        byte[] change = new byte[88];
        change[0] = 8;
        Assert.Equal(Invalid, client.Send(FuseOperation.SetAttributes, link, change).Error);
        change[0] = 1;
        Assert.Equal(Invalid, client.Send(FuseOperation.SetAttributes, link, change).Error);
        Assert.Equal("secret", File.ReadAllText(_directory["secret"]));
        Assert.False(File.Exists(_directory["new"]));
    }

    [Fact]
    public void FilesAreMadeWrittenMovedAndRemoved()
    {
        using FuseClient client = new(_folder);
        (int error, byte[] made) = client.Send(FuseOperation.Create, Root, FuseClient.Words(0x42, 0x1b6, 0, 0), FuseClient.Text("new"));
        Assert.Equal(0, error);
        ulong node = BitConverter.ToUInt64(made);
        ulong handle = BitConverter.ToUInt64(made, 128);
        byte[] data = new byte[100_000];
        new Random(1).NextBytes(data);
        (error, byte[] written) = client.Send(FuseOperation.Write, node, FuseClient.Longs(handle, 10), FuseClient.Words((uint)data.Length, 0), FuseClient.Longs(0), FuseClient.Words(0, 0), data);
        Assert.Equal((0, (uint)data.Length), (error, BitConverter.ToUInt32(written)));
        Assert.Equal(data, client.Read(node, handle, 10, 100_000).Data);
        string path = Path.Combine(_folder, "new");
        Assert.Equal(data, File.ReadAllBytes(path)[10..]);
        Assert.Equal((UnixFileMode)0x1b6, File.GetUnixFileMode(path)); // Whatever the host's mask.

        byte[] change = new byte[88];
        change[0] = 8 | 1;
        change[16] = 5;
        change[68] = 0x80;
        change[69] = 1; // 0600
        Assert.Equal(0, client.Send(FuseOperation.SetAttributes, node, change).Error);
        Assert.Equal(5, new FileInfo(path).Length);
        Assert.Equal((UnixFileMode)0x180, File.GetUnixFileMode(path));

        ulong sub = client.Lookup(Root, "sub").Node;
        Assert.Equal(0, client.Send(FuseOperation.Rename, Root, FuseClient.Longs(sub), FuseClient.Text("new"), FuseClient.Text("moved")).Error);
        Assert.Equal(node, client.Lookup(sub, "moved").Node);
        Assert.Equal(0, client.Send(FuseOperation.Link, Root, FuseClient.Longs(node), FuseClient.Text("second")).Error);
        Assert.True(File.Exists(Path.Combine(_folder, "second")));
        Assert.Equal(0, client.Send(FuseOperation.SymbolicLink, Root, FuseClient.Text("link"), FuseClient.Text("second")).Error);
        Assert.Equal(0, client.Send(FuseOperation.Unlink, sub, FuseClient.Text("moved")).Error);
        Assert.Equal(0, client.Send(FuseOperation.RemoveDirectory, Root, FuseClient.Text("sub")).Error);
        Assert.Equal(0, client.Send(FuseOperation.MakeDirectory, Root, FuseClient.Words(0x1ff, 0), FuseClient.Text("dir")).Error);
        Assert.Equal(["dir", "file", "link", "out", "second", "up"], Directory.EnumerateFileSystemEntries(_folder).Select(Path.GetFileName).Order());
        Assert.Equal(1, client.Send(FuseOperation.MakeNode, Root, FuseClient.Words(0x21b6, 0x103, 0, 0), FuseClient.Text("null")).Error); // A device: EPERM.
    }

    [Fact]
    public void AReadOnlyFolderStaysAsItIs()
    {
        using FuseClient client = new(_folder, readOnly: true);
        ulong file = client.Lookup(Root, "file").Node;
        Assert.Equal(ReadOnly, client.Open(file, 2).Error);
        Assert.Equal(ReadOnly, client.Open(file, 0x200).Error);
        ulong handle = client.Open(file, 0).Handle;
        Assert.Equal(ReadOnly, client.Send(FuseOperation.Write, file, FuseClient.Longs(handle, 0), FuseClient.Words(1, 0), FuseClient.Longs(0), FuseClient.Words(0, 0), [1]).Error);
        Assert.Equal(ReadOnly, client.Send(FuseOperation.Allocate, file, FuseClient.Longs(handle, 0, 10), FuseClient.Words(3, 0)).Error);
        byte[] change = new byte[88];
        change[0] = 8;
        foreach ((FuseOperation operation, byte[][] arguments) in new (FuseOperation, byte[][])[]
        {
            (FuseOperation.SetAttributes, [change]),
            (FuseOperation.Unlink, [FuseClient.Text("file")]),
            (FuseOperation.RemoveDirectory, [FuseClient.Text("sub")]),
            (FuseOperation.MakeDirectory, [FuseClient.Words(0x1ff, 0), FuseClient.Text("d")]),
            (FuseOperation.MakeNode, [FuseClient.Words(0x81b6, 0, 0, 0), FuseClient.Text("n")]),
            (FuseOperation.SymbolicLink, [FuseClient.Text("l"), FuseClient.Text("x")]),
            (FuseOperation.Rename, [FuseClient.Longs(Root), FuseClient.Text("file"), FuseClient.Text("f")]),
            (FuseOperation.Rename2, [FuseClient.Longs(Root, 0), FuseClient.Text("file"), FuseClient.Text("f")]),
            (FuseOperation.Link, [FuseClient.Longs(file), FuseClient.Text("f")]),
            (FuseOperation.Create, [FuseClient.Words(0x42, 0x1a4, 0, 0), FuseClient.Text("c")]),
        })
        {
            Assert.Equal(ReadOnly, client.Send(operation, Root, arguments).Error);
        }

        Assert.Equal("content", File.ReadAllText(Path.Combine(_folder, "file")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void DirectoriesAreListedInPieces(bool plus)
    {
        for (int i = 0; i < 500; i++)
        {
            File.WriteAllText(Path.Combine(_folder, "sub", $"a-name-of-some-length-{i}"), "");
        }

        using FuseClient client = new(_folder);
        ulong sub = client.Lookup(Root, "sub").Node;
        ulong handle = client.Open(sub, 0, directory: true).Handle;
        SortedSet<string> names = [];
        ulong position = 0;
        while (true)
        {
            (int error, byte[] data) = client.Read(sub, handle, position, 4096, plus ? FuseOperation.ReadDirectoryPlus : FuseOperation.ReadDirectory);
            Assert.Equal(0, error);
            if (data.Length == 0)
            {
                break;
            }

            for (int at = 0; at < data.Length;)
            {
                int entry = at + (plus ? 128 : 0);
                int length = BitConverter.ToInt32(data, entry + 16);
                string name = Encoding.ASCII.GetString(data, entry + 24, length);
                Assert.True(names.Add(name), $"{name} comes twice.");
                position = BitConverter.ToUInt64(data, entry + 8);
                if (plus && name[0] != '.')
                {
                    Assert.Equal(client.Lookup(sub, name).Node, BitConverter.ToUInt64(data, at));
                }

                at = entry + ((24 + length + 7) & ~7);
            }
        }

        Assert.Equal(502, names.Count);
    }

    [Fact]
    public void ANewMountForgetsTheOldOne()
    {
        using FuseClient client = new(_folder);
        ulong file = client.Lookup(Root, "file").Node;
        client.Open(file, 0);
        client.Send(FuseOperation.Initialize, 0, FuseClient.Words(7, 37, 0, 0));
        Assert.Equal(0, client.Server.KnownFiles);
    }

    [Fact]
    public void GarbageIsHarmless()
    {
        using FuseClient client = new(_folder);
        Random random = new(9);
        byte[] message = new byte[300];
        for (int i = 0; i < 20_000; i++)
        {
            random.NextBytes(message);
            int length = random.Next(message.Length);
            BitConverter.TryWriteBytes(message.AsSpan(4), random.Next(52));
            BitConverter.TryWriteBytes(message.AsSpan(16), (ulong)random.Next(4));
            if (random.Next(2) == 0)
            {
                BitConverter.TryWriteBytes(message.AsSpan(40), (ulong)random.Next(3));
                message.AsSpan(48, 8).Clear();
            }

            client.SendRaw(message.AsSpan(0, length), random.Next(3) == 0 ? 16 + random.Next(100) : 1 << 16);
        }

        Assert.Equal("secret", File.ReadAllText(_directory["secret"]));
        Assert.Equal(0, client.Lookup(Root, "up").Error);
    }

    [Fact]
    public void AFolderThatIsMissingIsNamed()
    {
        Assert.Contains(_directory["none"], Assert.Throws<StorageException>(() => FolderServer.Open(_directory["none"], false)).Message, StringComparison.Ordinal);
        Assert.Contains("Not a directory", Assert.Throws<StorageException>(() => FolderServer.Open(_directory["secret"], false)).Message, StringComparison.Ordinal);
    }

    // The folder's own: other tests open and close files meanwhile.
    private int CountDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Count(fd => new FileInfo(fd).LinkTarget?.StartsWith(_folder, StringComparison.Ordinal) == true);
}
