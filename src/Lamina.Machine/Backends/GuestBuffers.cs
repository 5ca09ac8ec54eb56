using Lamina.Machine.Memory;

namespace Lamina.Machine.Backends;

/// <summary>Copies to and from lists of guest buffers as if each were one run of bytes.</summary>
public static class GuestBuffers
{
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
}
