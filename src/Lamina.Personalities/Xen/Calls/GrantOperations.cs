using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Grants;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>grant_table_op: of a domain that grants, and maps nothing of others.</summary>
internal sealed class GrantOperations(XenDomain domain)
{
    private const uint SetUpTable = 2;
    private const uint QuerySize = 6;
    private const uint SetVersion = 8;
    private const uint GetVersion = 10;
    private const short BadDomain = -2;
    private const short GeneralError = -1;

    /// <summary>Executes one.</summary>
    internal long Execute(in CallArguments arguments)
    {
        // Each takes a number of structures; guests pass one.
        if (arguments.Third != 1)
        {
            return arguments.Third == 0 ? 0 : XenError.InvalidArgument;
        }

        return arguments.Command switch
        {
            SetUpTable => SetUp(arguments),
            QuerySize => Query(arguments),
            SetVersion => ChangeVersion(arguments),
            GetVersion => TellVersion(arguments),
            _ => XenError.NoSuchCall,
        };
    }

    private long SetUp(in CallArguments arguments)
    {
        const int StatusOffset = 8;
        const int ListOffset = 16;
        Span<byte> argument = stackalloc byte[24];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(argument[4..]);
        ulong list = BinaryPrimitives.ReadUInt64LittleEndian(argument[ListOffset..]);
        short status = !DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument)) ? BadDomain : count > GrantTable.MaximumFrames ? GeneralError : (short)0;
        domain.Gate.Enter();
        if (status == 0)
        {
            domain.Grants.TryGrow(count);
        }

        domain.Gate.Exit();
        for (int i = 0; status == 0 && i < (int)count; i++)
        {
            if (!arguments.TryWrite(list + ((uint)i * sizeof(ulong)), domain.Grants.GetPlace(i) / GuestMemory.PageSize))
            {
                return XenError.BadAddress;
            }
        }

        BinaryPrimitives.WriteInt16LittleEndian(argument[StatusOffset..], status);
        return arguments.TryWrite(arguments.Second + StatusOffset, argument.Slice(StatusOffset, sizeof(short))) ? 0 : XenError.BadAddress;
    }

    private long Query(in CallArguments arguments)
    {
        Span<byte> argument = stackalloc byte[16];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        bool valid = DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument));
        BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], domain.Grants.FrameCount);
        BinaryPrimitives.WriteUInt32LittleEndian(argument[8..], GrantTable.MaximumFrames);
        BinaryPrimitives.WriteInt16LittleEndian(argument[12..], valid ? (short)0 : BadDomain);
        return arguments.TryWrite(arguments.Second, argument) ? 0 : XenError.BadAddress;
    }

    // The second version is not there, as in a domain whose configuration limits it to the first.
    private static long ChangeVersion(in CallArguments arguments)
    {
        Span<byte> argument = stackalloc byte[4];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        uint version = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        return !arguments.TryWrite(arguments.Second, 1u) ? XenError.BadAddress : version switch
        {
            1 => 0,
            2 => XenError.NoSuchCall,
            _ => XenError.InvalidArgument,
        };
    }

    private static long TellVersion(in CallArguments arguments)
    {
        Span<byte> argument = stackalloc byte[8];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        return !DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument)) ? XenError.NoSuchProcess
            : arguments.TryWrite(arguments.Second + 4, 1u) ? 0 : XenError.BadAddress;
    }
}
