using Lamina.Machine.Backends;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>console_io: lines for the hypervisor's own console.</summary>
internal sealed class ConsoleOperations(ICharacterOutput? output)
{
    private const uint Write = 0;
    private const uint Read = 1;
    private const int PartLength = 256;

    // A guest that has more to say calls again.
    private const uint MostBytes = 4096;

    /// <summary>Executes one.</summary>
    internal long Execute(in CallArguments arguments)
    {
        if (arguments.Command != Write)
        {
            return arguments.Command == Read ? 0 : XenError.NoSuchCall;
        }

        uint length = Math.Min((uint)arguments.Second, MostBytes);
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

        return 0;
    }
}
