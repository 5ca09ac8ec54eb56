using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <summary>
/// struct shared_info and struct vcpu_info of 64-bit guests (xen/include/public/xen.h). The page is the guest's own, at the place that it asks for; a processor's part may be moved elsewhere.
/// </summary>
internal sealed class SharedInfo(GuestMemory memory, ParavirtualClock clock)
{
    /// <summary>Processors that have a place in the page.</summary>
    internal const int ProcessorCount = 32;

    /// <summary>Bytes of struct vcpu_info.</summary>
    internal const int ProcessorLength = 64;

    /// <summary>Of struct vcpu_info: an event may be pending.</summary>
    internal const int UpcallPending = 0;

    /// <summary>Of struct vcpu_info: upcalls are masked, which means nothing but to who reads it.</summary>
    internal const int UpcallMask = 1;

    /// <summary>Of struct vcpu_info: which words of <see cref="Pending"/> have bits.</summary>
    internal const int PendingSelector = 8;

    /// <summary>Of struct vcpu_info: the clock.</summary>
    internal const int Time = 32;

    /// <summary>Event channels that are pending, a bit each.</summary>
    internal const int Pending = 2048;

    /// <summary>Event channels that are masked, a bit each.</summary>
    internal const int Mask = 2560;

    private const int WallClock = 3072;

    /// <summary>Where it is; 0 if it is nowhere.</summary>
    internal ulong Address { get; private set; }

    internal void Reset() => Address = 0;

    /// <summary>Puts it on a page.</summary>
    /// <returns><c>false</c> if that is not RAM.</returns>
    internal bool TryPlace(ulong address, ulong unixTimeAtZero)
    {
        Span<byte> page = stackalloc byte[GuestMemory.PageSize];
        page.Clear();
        if (address == 0 || (Address != 0 && !memory.TryRead(Address, page)) || !memory.TryWrite(address, page))
        {
            return false;
        }

        Address = address;
        return clock.TryWriteWall(address + WallClock, unixTimeAtZero);
    }

    /// <summary>Says where the page is of a machine that was saved; 0 for nowhere.</summary>
    /// <returns><c>false</c> if it cannot be there.</returns>
    internal bool TryPlaceAgain(ulong address)
    {
        bool valid = address == 0 || (address % GuestMemory.PageSize == 0 && memory.TryRead(address, out byte _));
        Address = valid ? address : 0;
        return valid;
    }

    /// <summary>The place of a processor's part in the page; 0 if there is none.</summary>
    internal ulong GetProcessor(int processor) => Address == 0 || processor >= ProcessorCount ? 0 : Address + ((uint)processor * ProcessorLength);
}
