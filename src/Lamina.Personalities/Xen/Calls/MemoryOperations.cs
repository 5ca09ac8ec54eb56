using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Platform;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>memory_op, as far as guests with page tables of their own ask.</summary>
internal sealed class MemoryOperations(XenDomain domain, IMemoryReclaimer? reclaimer)
{
    private const uint IncreaseReservation = 0;
    private const uint DecreaseReservation = 1;
    private const uint MaximumRamPage = 2;
    private const uint CurrentReservation = 3;
    private const uint MaximumReservation = 4;
    private const uint PopulatePhysmap = 6;
    private const uint AddToPhysmap = 7;
    private const uint MemoryMap = 9;
    private const uint MaximumGuestPage = 14;
    private const uint RemoveFromPhysmap = 15;
    private const uint SpaceSharedInfo = 0;
    private const uint SpaceGrantTable = 1;
    private const ulong PageSize = GuestMemory.PageSize;

    // The operation is in the lower bits; the others say where a call goes on that was interrupted. None is.
    private const uint CommandMask = 0x3f;

    // A guest that wants more calls again.
    private const ulong MostExtents = 1024;

    /// <summary>The device in whose window grant frames may be; null for none.</summary>
    internal PlatformDevice? Platform { get; set; }

    /// <summary>Executes one.</summary>
    internal long Execute(in CallArguments arguments)
    {
        return (arguments.Command & CommandMask) switch
        {
            IncreaseReservation => 0,
            DecreaseReservation => ChangeReservation(arguments, gives: true),
            PopulatePhysmap => ChangeReservation(arguments, gives: false),
            MaximumRamPage or MaximumGuestPage => (long)(domain.Memory.Regions[^1].End / PageSize) - 1,
            CurrentReservation => (long)(domain.Memory.Size / PageSize) - (long)domain.BalloonedPages,
            MaximumReservation => (long)(domain.Memory.Size / PageSize),
            AddToPhysmap => Add(arguments),
            RemoveFromPhysmap => Remove(arguments),
            MemoryMap => Describe(arguments),
            _ => XenError.NoSuchCall,
        };
    }

    /// <summary>Whether a page without RAM may be a grant frame's.</summary>
    internal bool IsFree(ulong address) => Platform?.IsFree(address) == true;

    private long Add(in CallArguments arguments)
    {
        const int Length = 24;
        const int SpaceOffset = 4;
        const int IndexOffset = 8;
        const int PageOffset = 16;
        Span<byte> argument = stackalloc byte[Length];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        ulong index = BinaryPrimitives.ReadUInt64LittleEndian(argument[IndexOffset..]);
        ulong page = BinaryPrimitives.ReadUInt64LittleEndian(argument[PageOffset..]);
        if (!DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument)))
        {
            return XenError.NoSuchProcess;
        }

        if (page > ulong.MaxValue / PageSize)
        {
            return XenError.InvalidArgument;
        }

        ulong address = page * PageSize;
        domain.Gate.Enter();
        bool done = BinaryPrimitives.ReadUInt32LittleEndian(argument[SpaceOffset..]) switch
        {
            SpaceSharedInfo => index == 0 && PlaceSharedInfo(address),
            SpaceGrantTable => index < Grants.GrantTable.MaximumFrames && PlaceGrants((uint)index, address),
            _ => false,
        };
        domain.Gate.Exit();
        return done ? 0 : XenError.InvalidArgument;
    }

    private bool PlaceSharedInfo(ulong address)
    {
        if (!domain.Shared.TryPlace(address, domain.Settings.Clock.UnixTime - domain.Now))
        {
            return false;
        }

        for (int i = 0; i < domain.Processors.Length; i++)
        {
            domain.PublishTime(i);
        }

        return true;
    }

    private bool PlaceGrants(uint frame, ulong address)
    {
        return domain.Grants.TryPlace(frame, address, free: IsFree(address));
    }

    // Pages are the guest's: what it takes out of its map stays there.
    private long Remove(in CallArguments arguments)
    {
        Span<byte> argument = stackalloc byte[16];
        return !arguments.TryRead(arguments.Second, argument) ? XenError.BadAddress
            : DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument)) ? 0 : XenError.NoSuchProcess;
    }

    // The answer is the number of extents done.
    private long ChangeReservation(in CallArguments arguments, bool gives)
    {
        const int Length = 32;
        const int CountOffset = 8;
        const int OrderOffset = 16;
        const int DomainOffset = 24;
        Span<byte> argument = stackalloc byte[Length];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        ulong list = BinaryPrimitives.ReadUInt64LittleEndian(argument);
        ulong count = Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(argument[CountOffset..]), MostExtents);
        if (!DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument[DomainOffset..])))
        {
            return XenError.NoSuchProcess;
        }

        uint order = BinaryPrimitives.ReadUInt32LittleEndian(argument[OrderOffset..]);
        ulong done = 0;
        const uint LargestOrder = 9;
        while (done < count && order <= LargestOrder && arguments.TryRead(list + (done * sizeof(ulong)), out ulong page) && TryChange(page, 1UL << (int)order, gives))
        {
            done++;
        }

        return (long)done;
    }

    private bool TryChange(ulong page, ulong pages, bool gives)
    {
        ulong address = page * PageSize;
        nint host = page > ulong.MaxValue / PageSize ? 0 : domain.Memory.GetHostAddress(address, pages * PageSize);
        if (host == 0)
        {
            return false;
        }

        domain.Gate.Enter();
        bool allowed = gives ? domain.BalloonedPages + pages <= domain.Memory.Size / PageSize : domain.BalloonedPages >= pages;
        domain.BalloonedPages = !allowed ? domain.BalloonedPages : gives ? domain.BalloonedPages + pages : domain.BalloonedPages - pages;
        domain.Gate.Exit();
        if (allowed && gives)
        {
            reclaimer?.Reclaim(new GuestBuffer(address, host, (uint)(pages * PageSize)));
            domain.Memory.MarkWritten(address, pages * PageSize);
        }

        return allowed;
    }

    private long Describe(in CallArguments arguments)
    {
        const int EntryLength = 20;
        const uint Usable = 1;
        Span<byte> argument = stackalloc byte[16];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        uint room = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        ulong buffer = BinaryPrimitives.ReadUInt64LittleEndian(argument[8..]);
        Span<byte> entry = stackalloc byte[EntryLength];
        uint count = 0;
        foreach (GuestMemoryRegion region in domain.Memory.Regions)
        {
            // The first part of the second region is where firmware would be.
            const ulong FirmwareStart = 0xc_0000;
            const ulong FirmwareEnd = 0x10_0000;
            ulong start = region.Address == FirmwareStart ? FirmwareEnd : region.Address;
            if (count == room || start >= region.End)
            {
                continue;
            }

            BinaryPrimitives.WriteUInt64LittleEndian(entry, start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], region.End - start);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], Usable);
            if (!arguments.TryWrite(buffer + (count * EntryLength), entry))
            {
                return XenError.BadAddress;
            }

            count++;
        }

        return arguments.TryWrite(arguments.Second, count) ? 0 : XenError.BadAddress;
    }
}
