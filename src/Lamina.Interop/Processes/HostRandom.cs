namespace Lamina.Interop.Processes;

/// <summary>Random bytes of the host's kernel. They are good enough for keys; .NET's own generator loads OpenSSL first, which a process that is to be quick does without.</summary>
public static unsafe class HostRandom
{
    /// <summary>Fills a buffer.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static void Fill(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            nint count;

            // SAFETY: the buffer is pinned, and its length is the call's.
            fixed (byte* p = destination)
            {
                count = NativeMethods.GetRandom(p, (nuint)destination.Length, 0);
            }

            if (count < 0)
            {
                SystemCallException failure = SystemCallException.FromLastError("getrandom");
                if (failure.ErrorNumber != ErrorNumber.Interrupted)
                {
                    throw failure;
                }

                continue;
            }

            destination = destination[(int)count..];
        }
    }

    /// <summary>New bytes.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static byte[] GetBytes(int count)
    {
        byte[] bytes = new byte[count];
        Fill(bytes);
        return bytes;
    }
}
