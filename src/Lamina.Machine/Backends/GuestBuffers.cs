using Lamina.Machine.Memory;

namespace Lamina.Machine.Backends;

/// <summary>Copies to and from lists of guest buffers as if each were one run of bytes.</summary>
public static class GuestBuffers
{
    /// <summary>Adds a range of guest RAM to a list of buffers: one, or one for each region that it lies in.</summary>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="buffers">The list.</param>
    /// <param name="count">How many there are in it; means nothing after a failure.</param>
    /// <param name="address">Where the range begins. Any value.</param>
    /// <param name="length">Its length, not zero.</param>
    /// <returns><c>false</c> if it is not all RAM, or the list is full.</returns>
    public static bool TryAdd(GuestMemory memory, Span<GuestBuffer> buffers, ref int count, ulong address, uint length)
    {
        nint host = memory.GetHostAddress(address, length);
        if (host == 0)
        {
            return memory.Seams != 0 && TryAddParts(memory, buffers, ref count, address, length);
        }

        if (count == buffers.Length)
        {
            return false;
        }

        buffers[count++] = new GuestBuffer(address, host, length);
        return true;
    }

    /// <summary>Copies bytes out of the buffers.</summary>
    /// <returns>How many there were, at most what was asked for.</returns>
    public static int Read(GuestMemory memory, ReadOnlySpan<GuestBuffer> buffers, ulong offset, Span<byte> destination)
    {
        int done = 0;
        foreach (GuestBuffer buffer in buffers)
        {
            if (done == destination.Length)
            {
                break;
            }

            if (offset >= buffer.Length)
            {
                offset -= buffer.Length;
                continue;
            }

            int length = (int)Math.Min(buffer.Length - offset, (ulong)(destination.Length - done));
            memory.TryRead(buffer.Address + offset, destination.Slice(done, length));
            done += length;
            offset = 0;
        }

        return done;
    }

    /// <summary>Copies bytes into the buffers.</summary>
    /// <returns>How many fitted.</returns>
    public static int Write(GuestMemory memory, ReadOnlySpan<GuestBuffer> buffers, ulong offset, ReadOnlySpan<byte> source)
    {
        int done = 0;
        foreach (GuestBuffer buffer in buffers)
        {
            if (done == source.Length)
            {
                break;
            }

            if (offset >= buffer.Length)
            {
                offset -= buffer.Length;
                continue;
            }

            int length = (int)Math.Min(buffer.Length - offset, (ulong)(source.Length - done));
            memory.TryWrite(buffer.Address + offset, source.Slice(done, length));
            done += length;
            offset = 0;
        }

        return done;
    }

    private static bool TryAddParts(GuestMemory memory, Span<GuestBuffer> buffers, ref int count, ulong address, uint length)
    {
        while (length > 0)
        {
            ulong part = length;
            nint host = memory.GetHostPart(address, ref part);
            if (host == 0 || count == buffers.Length)
            {
                return false;
            }

            buffers[count++] = new GuestBuffer(address, host, (uint)part);
            address += part;
            length -= (uint)part;
        }

        return true;
    }
}
