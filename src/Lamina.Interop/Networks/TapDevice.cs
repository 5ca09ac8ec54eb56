using System.Runtime.InteropServices;
using System.Text;

namespace Lamina.Interop.Networks;

/// <summary>Opens tap interfaces: network cards of the host whose wire ends in this process. Each packet has a 12-byte virtio header before it.</summary>
public static unsafe class TapDevice
{
    /// <summary>Longest name of an interface.</summary>
    public const int MaximumNameLength = 15;

    private const string Device = "/dev/net/tun";
    private const int ReadWrite = 0x2;
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;
    private const int RequestLength = 40;
    private const int NameLength = 16;
    private const short TapMode = 0x0002;
    private const short NoPacketInformation = 0x1000;
    private const short VirtioHeader = 0x4000;
    private const short SeveralQueues = 0x0100;
    private const short AttachQueue = 0x0200;
    private const short DetachQueue = 0x0400;
    private const short Up = 1;
    private const nuint SetInterface = 0x400454ca;
    private const nuint SetOffload = 0x400454d0;
    private const nuint SetHeaderLength = 0x400454d8;
    private const nuint SetQueue = 0x400454d9;
    private const nuint GetFlags = 0x8913;
    private const nuint SetFlags = 0x8914;
    private const nuint GetIndex = 0x8933;
    private const nuint AddToBridge = 0x89a2;
    private const int InternetFamily = 2;
    private const int Datagram = 2;

    /// <summary>Attaches to an interface, which is made if there is none of that name and this process may.</summary>
    /// <param name="name">Its name; "%d" in it stands for a free number.</param>
    /// <param name="headerLength">Bytes of the header before each packet.</param>
    /// <param name="queues">How often: with more than one, the host chooses a queue for each packet, the same for those of one connection.</param>
    /// <param name="actualName">The name it has.</param>
    /// <returns>The queues.</returns>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static IReadOnlyList<OwnedDescriptor> Open(string name, int headerLength, int queues, out string actualName)
    {
        OwnedDescriptor[] opened = new OwnedDescriptor[queues];
        actualName = name;
        try
        {
            for (int i = 0; i < queues; i++)
            {
                opened[i] = OpenQueue(actualName, headerLength, queues > 1 ? SeveralQueues : (short)0, out actualName);
            }

            return opened;
        }
        catch
        {
            foreach (OwnedDescriptor? queue in opened)
            {
                queue?.Dispose();
            }

            throw;
        }
    }

    /// <summary>Has one of several queues get packets, or none any more: then it can be neither read nor written.</summary>
    /// <returns>Whether the host agrees.</returns>
    public static bool SetAttached(OwnedDescriptor queue, bool attached)
    {
        byte* request = stackalloc byte[RequestLength];
        WriteName(request, "");
        *(short*)(request + NameLength) = attached ? AttachQueue : DetachQueue;

        // SAFETY: struct ifreq has 40 bytes: the name, which does not count here, then the flags.
        return NativeMethods.Control(queue.Number, SetQueue, request) == 0;
    }

    /// <summary>Says which unfinished packets the reader takes: bits of TUN_F_CSUM (1), TUN_F_TSO4 (2), TUN_F_TSO6 (4) and TUN_F_TSO_ECN (8).</summary>
    /// <returns>Whether the host agrees.</returns>
    public static bool SetOffloads(OwnedDescriptor tap, int offloads)
    {
        // The value itself is the argument.
        return NativeMethods.Control(tap.Number, SetOffload, (void*)offloads) == 0;
    }

    /// <summary>Makes an interface part of a bridge and switches it on.</summary>
    /// <exception cref="SystemCallException">The host refuses, or there is no such bridge.</exception>
    public static void JoinBridge(string name, string bridge)
    {
        int socket = NativeMethods.Socket(InternetFamily, Datagram | CloseOnExec, 0);
        if (socket < 0)
        {
            throw SystemCallException.FromLastError("socket");
        }

        try
        {
            byte* request = stackalloc byte[RequestLength];
            WriteName(request, name);
            Check(socket, GetIndex, request, "SIOCGIFINDEX");
            int index = *(int*)(request + NameLength);
            WriteName(request, bridge);
            *(int*)(request + NameLength) = index;
            Check(socket, AddToBridge, request, "SIOCBRADDIF");
            WriteName(request, name);
            Check(socket, GetFlags, request, "SIOCGIFFLAGS");
            *(short*)(request + NameLength) |= Up;
            Check(socket, SetFlags, request, "SIOCSIFFLAGS");
        }
        finally
        {
            _ = NativeMethods.Close(socket);
        }
    }

    private static OwnedDescriptor OpenQueue(string name, int headerLength, short mode, out string actualName)
    {
        int number = NativeMethods.Open(Device, ReadWrite | NonBlocking | CloseOnExec, 0);
        if (number < 0)
        {
            throw SystemCallException.FromLastError($"open {Device}");
        }

        OwnedDescriptor descriptor = new(number);
        byte* request = stackalloc byte[RequestLength];
        WriteName(request, name);
        *(short*)(request + NameLength) = (short)(TapMode | NoPacketInformation | VirtioHeader | mode);

        // SAFETY: struct ifreq has 40 bytes: the name, then here the flags. The header's length is one integer.
        bool made = NativeMethods.Control(number, SetInterface, request) == 0;
        if (!made && mode == 0 && Marshal.GetLastPInvokeError() == ErrorNumber.InvalidArgument)
        {
            // It may have been made for several queues, of which this is to be the only one.
            *(short*)(request + NameLength) |= SeveralQueues;
            made = NativeMethods.Control(number, SetInterface, request) == 0;
        }

        if (!made || NativeMethods.Control(number, SetHeaderLength, &headerLength) != 0)
        {
            SystemCallException failure = SystemCallException.FromLastError("TUNSETIFF");
            descriptor.Dispose();
            throw failure;
        }

        actualName = Encoding.ASCII.GetString(request, new ReadOnlySpan<byte>(request, NameLength).IndexOf((byte)0));
        return descriptor;
    }

    // SAFETY: the request is a struct ifreq of this file's functions; the kernel stays inside its 40 bytes.
    private static void Check(int socket, nuint call, byte* request, string name)
    {
        if (NativeMethods.Control(socket, call, request) != 0)
        {
            throw SystemCallException.FromLastError(name);
        }
    }

    private static void WriteName(byte* request, string name)
    {
        // SAFETY: the structure has room for the name and its end.
        Span<byte> bytes = new(request, RequestLength);
        bytes.Clear();
        Encoding.ASCII.GetBytes(name.AsSpan(0, Math.Min(name.Length, MaximumNameLength)), bytes);
    }
}
