using System.Text;
using Lamina.Storage.Sharing;

namespace Lamina.Storage.Tests.Sharing;

/// <summary>A shared folder goes on where it was saved: files and handles keep their numbers; what cannot be had again is refused by name, and a hostile state opens nothing outside of the folder.</summary>
public sealed class FolderStateTests : IDisposable
{
    private const ulong Root = 1;
    private const int ReadWrite = 2;
    private readonly TemporaryDirectory _directory = new();
    private readonly string _folder;

    public FolderStateTests()
    {
        _folder = _directory["shared"];
        Directory.CreateDirectory(Path.Combine(_folder, "sub"));
        File.WriteAllText(Path.Combine(_folder, "sub", "file"), "content");
        File.WriteAllText(Path.Combine(_folder, "other"), "other");
        File.WriteAllText(_directory["secret"], "secret");
        File.CreateSymbolicLink(Path.Combine(_folder, "out"), "../secret");
        Directory.CreateSymbolicLink(Path.Combine(_folder, "up"), "..");
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Files_and_handles_go_on_with_their_numbers()
    {
        byte[] state;
        ulong sub;
        ulong file;
        ulong handle;
        ulong list;
        using (FuseClient before = new(_folder))
        {
            sub = before.Lookup(Root, "sub").Node;
            file = before.Lookup(sub, "file").Node;
            before.Lookup(sub, "file");
            handle = before.Open(file, ReadWrite).Handle;
            list = before.Open(Root, 0, directory: true).Handle;
            Assert.Equal((0, 3u), before.Write(file, handle, 0, "CON"));
            state = before.Server.Save();
        }

        using FuseClient after = new(_folder, state: state);
        Assert.Equal(2, after.Server.KnownFiles);
        Assert.Equal("CONtent", Encoding.ASCII.GetString(after.Read(file, handle, 0, 100).Data));
        Assert.Equal((0, 4u), after.Write(file, handle, 3, "TENT"));
        Assert.Equal("CONTENT", File.ReadAllText(Path.Combine(_folder, "sub", "file")));
        Assert.Contains("other", Encoding.ASCII.GetString(after.Read(Root, list, 0, 4096, FuseOperation.ReadDirectory).Data), StringComparison.Ordinal);
        Assert.Equal((0, file), after.Lookup(sub, "file"));
        Assert.DoesNotContain(after.Lookup(Root, "other").Node, new ulong[] { sub, file });
        Assert.NotEqual(handle, after.Open(file, 0).Handle);

        // It has been learned of three times.
        after.Send(FuseOperation.Release, file, FuseClient.Longs(handle));
        after.Tell(FuseOperation.Forget, file, FuseClient.Longs(2));
        Assert.Equal(3, after.Server.KnownFiles);
        after.Tell(FuseOperation.Forget, file, FuseClient.Longs(1));
        Assert.Equal(2, after.Server.KnownFiles);
        Assert.Equal(state, Save(static again => again.Lookup(Root, "none"), state));
    }

    [Fact]
    public void A_file_that_was_renamed_before_is_found_by_its_new_name()
    {
        using FuseClient before = new(_folder);
        ulong sub = before.Lookup(Root, "sub").Node;
        ulong file = before.Lookup(sub, "file").Node;
        ulong handle = before.Open(file, 0).Handle;
        Directory.Move(Path.Combine(_folder, "sub"), Path.Combine(_folder, "moved"));
        using FuseClient after = new(_folder, state: before.Server.Save());
        Assert.Equal("content", Encoding.ASCII.GetString(after.Read(file, handle, 0, 100).Data));
        Assert.Equal((0, sub), after.Lookup(Root, "moved"));
    }

    [Fact]
    public void A_file_without_a_name_can_be_forgotten_but_not_be_open()
    {
        using FuseClient before = new(_folder);
        ulong file = before.Lookup(Root, "other").Node;
        ulong handle = before.Open(file, 0).Handle;
        File.Delete(Path.Combine(_folder, "other"));
        Assert.Contains("/shared/other", Assert.Throws<StorageException>(() => before.Server.Save()).Message, StringComparison.Ordinal);

        before.Send(FuseOperation.Release, file, FuseClient.Longs(handle));
        using FuseClient after = new(_folder, state: before.Server.Save());
        Assert.NotEqual(0, after.Send(FuseOperation.GetAttributes, file, new byte[16]).Error);
        Assert.NotEqual(0, after.Open(file, 0).Error);
        after.Tell(FuseOperation.Forget, file, FuseClient.Longs(1));
        Assert.Equal(0, after.Server.KnownFiles);
    }

    [Fact]
    public void What_was_open_and_is_not_there_is_named()
    {
        using FuseClient before = new(_folder);
        ulong file = before.Lookup(Root, "other").Node;
        before.Open(file, ReadWrite);
        byte[] state = before.Server.Save();
        Assert.Contains("'other' was open for writing", Refuse(state, readOnly: true), StringComparison.Ordinal);
        File.Delete(Path.Combine(_folder, "other"));
        Assert.Contains("'other' in the folder", Refuse(state), StringComparison.Ordinal);
        Directory.CreateDirectory(Path.Combine(_folder, "other"));
        Assert.Contains("another kind of file", Refuse(state), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../secret")]
    [InlineData("up/secret")]
    [InlineData("out")]
    [InlineData("sub/../../secret")]
    [InlineData("/etc/passwd")]
    [InlineData("")]
    [InlineData("other\0")]
    public void A_hostile_path_opens_nothing(string path)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        byte[] state =
        [
            .. FuseClient.Words(1), .. FuseClient.Longs(10, 10), .. FuseClient.Words(0, 1),
            .. FuseClient.Longs(3, 0), .. FuseClient.Words(0x8000, (uint)name.Length), .. name,
        ];
        Refuse(state);
    }

    [Fact]
    public void Damaged_states_are_refused_or_harmless()
    {
        using FuseClient before = new(_folder);
        ulong sub = before.Lookup(Root, "sub").Node;
        before.Open(before.Lookup(sub, "file").Node, ReadWrite);
        byte[] state = before.Server.Save();
        for (int length = 0; length < state.Length; length++)
        {
            Refuse(state[..length]);
        }

        Refuse([.. state, 0]);
        Random random = new(7);
        for (int round = 0; round < 2000; round++)
        {
            byte[] changed = [.. state];
            for (int n = random.Next(1, 4); n > 0; n--)
            {
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            }

            try
            {
                using FuseClient after = new(_folder, state: changed);
                Assert.NotEqual(0ul, after.Lookup(Root, "other").Node);
            }
            catch (StorageException)
            {
                // Refused.
            }
        }

        Assert.Equal("secret", File.ReadAllText(_directory["secret"]));
    }

    private string Refuse(byte[] state, bool readOnly = false) => Assert.Throws<StorageException>(() => new FuseClient(_folder, readOnly, state)).Message;

    private byte[] Save(Action<FuseClient> use, byte[] state)
    {
        using FuseClient client = new(_folder, state: state);
        use(client);
        return client.Server.Save();
    }
}
