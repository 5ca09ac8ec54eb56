using System.Globalization;
using System.Text;

namespace Lamina.Boot.Initramfs;

/// <summary>
/// Writes an initramfs: a cpio archive of the "newc" format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). The same calls give the same bytes: owner
/// root, time zero. Paths are relative to the root, without a leading slash; a directory comes before what is in it.
/// </summary>
public sealed class CpioWriter : IDisposable
{
    private const int HeaderLength = 110;
    private const int Alignment = 4;
    private const int BlockSize = 512;
    private const uint Directory = 0x4000;
    private const uint RegularFile = 0x8000;
    private const uint SymbolicLink = 0xa000;
    private const uint CharacterDevice = 0x2000;
    private const uint PermissionBits = 0xfff;
    private const string TrailerName = "TRAILER!!!";
    private static readonly byte[] Zeros = new byte[BlockSize];
    private readonly Stream _destination;
    private long _position;
    private uint _inode;
    private bool _finished;

    /// <summary>Begins an archive. The stream stays open.</summary>
    public CpioWriter(Stream destination)
    {
        _destination = destination;
    }

    /// <summary>Adds a directory.</summary>
    public void AddDirectory(string path, int permissions = 0b111_101_101) => AddEntry(path, Directory, permissions, 0, 2);

    /// <summary>Adds a file.</summary>
    public void AddFile(string path, ReadOnlySpan<byte> content, int permissions = 0b110_100_100)
    {
        AddEntry(path, RegularFile, permissions, content.Length);
        Write(content);
        Pad(Alignment);
    }

    /// <summary>Adds a file that is copied from a stream, which must give exactly <paramref name="length"/> bytes.</summary>
    /// <exception cref="EndOfStreamException">The stream ended before.</exception>
    public void AddFile(string path, Stream content, long length, int permissions = 0b110_100_100)
    {
        AddEntry(path, RegularFile, permissions, length);
        byte[] buffer = new byte[81920];
        while (length > 0)
        {
            int count = content.Read(buffer, 0, (int)Math.Min(length, buffer.Length));
            if (count == 0)
            {
                throw new EndOfStreamException($"'{path}' is {length} bytes shorter than announced.");
            }

            Write(buffer.AsSpan(0, count));
            length -= count;
        }

        Pad(Alignment);
    }

    /// <summary>Adds a symbolic link.</summary>
    public void AddSymbolicLink(string path, string target)
    {
        byte[] content = Encoding.UTF8.GetBytes(target);
        AddEntry(path, SymbolicLink, 0b111_111_111, content.Length);
        Write(content);
        Pad(Alignment);
    }

    /// <summary>Adds a character device.</summary>
    public void AddCharacterDevice(string path, int major, int minor, int permissions = 0b110_000_000)
    {
        AddEntry(path, CharacterDevice, permissions, 0, 1, major, minor);
    }

    /// <summary>Ends the archive. Later calls do nothing.</summary>
    public void Finish()
    {
        if (!_finished)
        {
            WriteHeader(TrailerName, 0, 0, 1, 0, 0, 0);
            Pad(BlockSize);
            _destination.Flush();
            _finished = true;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Finish();

    private void AddEntry(string path, uint type, int permissions, long length, uint links = 1, int major = 0, int minor = 0)
    {
        ObjectDisposedException.ThrowIf(_finished, this);
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, uint.MaxValue);
        if (path[0] == '/' || path.Contains('\0', StringComparison.Ordinal))
        {
            throw new ArgumentException("A path begins with a slash or holds a zero.", nameof(path));
        }

        WriteHeader(path, ++_inode, type | ((uint)permissions & PermissionBits), links, (uint)length, major, minor);
    }

    private void WriteHeader(string path, uint inode, uint mode, uint links, uint length, int major, int minor)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        ReadOnlySpan<uint> fields = [inode, mode, 0, 0, links, 0, length, 0, 0, (uint)major, (uint)minor, (uint)name.Length, 0];
        StringBuilder header = new("070701", HeaderLength);
        foreach (uint field in fields)
        {
            header.Append(CultureInfo.InvariantCulture, $"{field:x8}");
        }

        Write(Encoding.ASCII.GetBytes(header.ToString()));
        Write(name);
        Pad(Alignment);
    }

    private void Write(ReadOnlySpan<byte> data)
    {
        _destination.Write(data);
        _position += data.Length;
    }

    private void Pad(int alignment)
    {
        int count = (int)(-_position & (alignment - 1));
        Write(Zeros.AsSpan(0, count));
    }
}
