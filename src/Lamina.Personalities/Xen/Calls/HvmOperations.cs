using System.Buffers.Binary;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>hvm_op.</summary>
internal sealed class HvmOperations(XenDomain domain)
{
    private const uint SetParameter = 0;
    private const uint GetParameter = 1;
    private const uint GetTime = 10;
    private const uint GetMemoryType = 15;
    private const uint SetUpcallVector = 23;

    /// <summary>Executes one.</summary>
    internal long Execute(in CallArguments arguments)
    {
        switch (arguments.Command)
        {
            case SetParameter or GetParameter:
                return AccessParameter(arguments);
            case GetTime:
                return arguments.TryWrite(arguments.Second, domain.Now) ? 0 : XenError.BadAddress;
            case GetMemoryType:
                return GetType(arguments);
            case SetUpcallVector:
                return SetVector(arguments);
            default:
                return XenError.NoSuchCall;
        }
    }

    private long AccessParameter(in CallArguments arguments)
    {
        Span<byte> argument = stackalloc byte[16];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        uint index = BinaryPrimitives.ReadUInt32LittleEndian(argument[4..]);
        if (index >= XenDomain.ParameterCount)
        {
            return XenError.InvalidArgument;
        }

        if (!DomainId.IsGuest(BinaryPrimitives.ReadUInt16LittleEndian(argument)))
        {
            return XenError.NoSuchProcess;
        }

        domain.Gate.Enter();
        ulong value = domain.Parameters[(int)index];
        long result = 0;
        if (arguments.Command == SetParameter)
        {
            // The others are the toolstack's.
            result = index != XenDomain.CallbackParameter ? XenError.NotPermitted
                : domain.TrySetCallback(BinaryPrimitives.ReadUInt64LittleEndian(argument[8..]), repeats: true) ? 0 : XenError.InvalidArgument;
        }

        domain.Gate.Exit();
        return result != 0 || arguments.Command == SetParameter ? result
            : arguments.TryWrite(arguments.Second + 8, value) ? 0 : XenError.BadAddress;
    }

    private long SetVector(in CallArguments arguments)
    {
        Span<byte> argument = stackalloc byte[8];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        uint index = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        byte vector = argument[4];
        if (index >= (uint)domain.Processors.Length)
        {
            return XenError.NoEntry;
        }

        if (vector < ProcessorInfo.FirstVector)
        {
            return XenError.InvalidArgument;
        }

        domain.Gate.Enter();
        XenProcessor processor = domain.Processors[index];
        processor.Info.UpcallVector = vector;
        processor.ShowDirect();
        processor.Info.Repeat();
        domain.Gate.Exit();
        return 0;
    }

    private long GetType(in CallArguments arguments)
    {
        const ulong PageSize = Machine.Memory.GuestMemory.PageSize;
        const byte Ram = 0;
        const byte Device = 2;
        Span<byte> argument = stackalloc byte[16];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        ulong page = BinaryPrimitives.ReadUInt64LittleEndian(argument[8..]);
        bool isRam = page <= ulong.MaxValue / PageSize && domain.Memory.GetHostAddress(page * PageSize, PageSize) != 0;
        return arguments.TryWrite(arguments.Second + 2, [isRam ? Ram : Device, 0]) ? 0 : XenError.BadAddress;
    }
}
