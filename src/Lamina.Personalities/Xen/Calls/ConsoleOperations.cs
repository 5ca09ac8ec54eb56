using Lamina.Machine.Backends;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>console_io: lines for the hypervisor's own console.</summary>
internal sealed class ConsoleOperations(ICharacterOutput? output)
{
    private const uint Write = 0;
    private const uint Read = 1;
    private const int PartLength = 256;

    // Interrupts come between this many bytes and the next.
    private const uint MostBytes = 4096;

    /// <summary>Executes one.</summary>
    /// <param name="arguments">The call.</param>
    /// <param name="end">Set if the call is to go on.</param>
    internal long Execute(in CallArguments arguments, ref GuestCallEnd end)
    {
        uint count = (uint)arguments.Second;
        if (arguments.Command != Write)
        {
            return arguments.Command != Read ? XenError.NoSuchCall : count > int.MaxValue ? XenError.TooLong : 0;
        }

        uint length = Math.Min(count, MostBytes);
        Span<byte> part = stackalloc byte[PartLength];
        for (uint done = 0; done < length; done += PartLength)
        {
            Span<byte> text = part[..(int)Math.Min(length - done, PartLength)];
            if (!arguments.TryRead(arguments.Third + done, text))
            {
                return XenError.BadAddress;
            }

            output?.Write(text);
        }

        if (length < count && arguments.CanWait)
        {
            arguments.Advance(length);
            end = GuestCallEnd.Continue;
        }

        return 0;
    }
}
