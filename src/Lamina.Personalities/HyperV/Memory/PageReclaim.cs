using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV.Memory;

/// <summary>Gives ranges of guest RAM back to the host, as far as they are RAM.</summary>
internal sealed class PageReclaim(GuestMemory memory, IMemoryReclaimer reclaimer)
{
    private const ulong LongestPart = 2 << 20;

    /// <summary>The first address behind all RAM.</summary>
    internal ulong End => memory.Regions[^1].End;

    /// <summary>Gives whole pages back.</summary>
    /// <returns>Bytes that were RAM.</returns>
    internal ulong Reclaim(ulong address, ulong length)
    {
        ulong done = 0;
        while (length != 0)
        {
            ulong part = Math.Min(length, LongestPart - (address % LongestPart));
            if (!TryReclaim(address, part))
            {
                part = Math.Min(length, GuestMemory.PageSize);
                done += TryReclaim(address, part) ? part : 0;
            }
            else
            {
                done += part;
            }

            address += part;
            length -= part;
        }

        return done;
    }

    // What is there afterwards is not what was saved before.
    private bool TryReclaim(ulong address, ulong length)
    {
        nint host = memory.GetHostAddress(address, length);
        if (host == 0)
        {
            return false;
        }

        reclaimer.Reclaim(new GuestBuffer(address, host, (uint)length));
        memory.MarkWritten(address, length);
        return true;
    }
}
