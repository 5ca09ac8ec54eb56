using Lamina.Boot.Layout;
using Lamina.Machine.Memory;

namespace Lamina.Boot;

/// <summary>The memory that a guest is loaded into.</summary>
internal sealed class BootTarget(GuestMemory memory, MachineLayout layout)
{
    private const int ChunkSize = 256 << 10;
    private static readonly byte[] Zeroes = new byte[GuestMemory.PageSize];
    private byte[]? _chunk;

    internal MachineLayout Layout { get; } = layout;

    internal void Write(ulong address, ReadOnlySpan<byte> data)
    {
        if (!memory.TryWrite(address, data))
        {
            throw new BootException($"There is no RAM at 0x{address:x}, where {data.Length} bytes are to be loaded.");
        }
    }

    internal void Copy(BootImageReader source, long offset, long length, ulong address)
    {
        _chunk ??= GC.AllocateUninitializedArray<byte>(ChunkSize);
        while (length > 0)
        {
            int count = (int)Math.Min(length, ChunkSize);
            source.Read(offset, _chunk.AsSpan(0, count));
            Write(address, _chunk.AsSpan(0, count));
            offset += count;
            address += (ulong)count;
            length -= count;
        }
    }

    internal void Clear(ulong address, ulong length)
    {
        ReadOnlySpan<byte> zeroes = Zeroes;
        while (length > 0)
        {
            int count = (int)Math.Min(length, (ulong)zeroes.Length);
            Write(address, zeroes[..count]);
            address += (ulong)count;
            length -= (ulong)count;
        }
    }
}
