using Lamina.Interop;
using Lamina.Interop.Events;

namespace Lamina.Cli.Running;

/// <summary>This process's standard input. Errors are its end: a closed descriptor, a terminal that has gone.</summary>
internal sealed class StandardInput : IInputSource
{
    /// <inheritdoc/>
    public int Read(Span<byte> buffer)
    {
        while (true)
        {
            int count = Descriptor.Read(Descriptor.StandardInput, buffer, out int error);
            if (count >= 0)
            {
                return count;
            }

            if (error != ErrorNumber.TryAgain)
            {
                return 0;
            }

            Descriptor.Wait(Descriptor.StandardInput, Readiness.Readable, -1);
        }
    }
}
