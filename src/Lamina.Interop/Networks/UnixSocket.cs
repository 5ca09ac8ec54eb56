using System.Runtime.InteropServices;
using System.Text;
using Lamina.Interop.Files;

namespace Lamina.Interop.Networks;

/// <summary>Stream sockets in the file system. None of them blocks.</summary>
public static unsafe class UnixSocket
{
    /// <summary>Longest path, in bytes.</summary>
    public const int MaximumPathLength = 107;

    private const int UnixFamily = 1;
    private const int Stream = 1;
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;
    private const int AddressLength = 110;
    private const int FamilyLength = 2;
    private const int Backlog = 128;
    private const int Receiving = 0;
    private const int Sending = 1;
    private const int Both = 2;
    private const int CurrentDirectory = -100;
    private const int NotFollowingLinks = 0x100;
    private const uint TypeWanted = 1;

    /// <summary>Makes a socket at a path and listens. A socket there to which nobody listens any more makes way.</summary>
    /// <exception cref="SystemCallException">The host refuses, or something else is at the path.</exception>
    public static OwnedDescriptor Listen(string path)
    {
        byte* address = stackalloc byte[AddressLength];
        uint length = WriteAddress(address, path);
        OwnedDescriptor socket = Create();

        // SAFETY: the address is a struct sockaddr_un of that length.
        bool bound = NativeMethods.Bind(socket.Number, address, length) == 0;
        int error = bound ? 0 : Marshal.GetLastPInvokeError();
        if (error == ErrorNumber.AddressInUse && IsAbandoned(path))
        {
            File.Delete(path);
            bound = NativeMethods.Bind(socket.Number, address, length) == 0;
            error = bound ? 0 : Marshal.GetLastPInvokeError();
        }

        if (bound && NativeMethods.Listen(socket.Number, Backlog) != 0)
        {
            error = Marshal.GetLastPInvokeError();
            File.Delete(path);
        }

        if (error != 0)
        {
            socket.Dispose();
            throw new SystemCallException(bound ? "listen" : "bind", error);
        }

        return socket;
    }

    /// <summary>Takes a connection that waits.</summary>
    /// <returns>Its end here, or null with an errno value.</returns>
    public static OwnedDescriptor? Accept(OwnedDescriptor listener, out int error)
    {
        int number;
        do
        {
            // SAFETY: nobody asks for the address.
            number = NativeMethods.Accept(listener.Number, null, null, NonBlocking | CloseOnExec);
            error = number < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == ErrorNumber.Interrupted);

        return number < 0 ? null : new OwnedDescriptor(number);
    }

    /// <summary>Connects to a socket at a path.</summary>
    /// <returns>The end here, or null with an errno value.</returns>
    public static OwnedDescriptor? Connect(string path, out int error)
    {
        byte* address = stackalloc byte[AddressLength];
        uint length = WriteAddress(address, path);
        int number = NativeMethods.Socket(UnixFamily, Stream | NonBlocking | CloseOnExec, 0);
        if (number < 0)
        {
            error = Marshal.GetLastPInvokeError();
            return null;
        }

        OwnedDescriptor socket = new(number);

        // SAFETY: the address is a struct sockaddr_un of that length.
        if (NativeMethods.Connect(number, address, length) != 0)
        {
            error = Marshal.GetLastPInvokeError();
            socket.Dispose();
            return null;
        }

        error = 0;
        return socket;
    }

    /// <summary>Ends one direction, or both.</summary>
    public static void ShutDown(OwnedDescriptor socket, bool receive, bool send)
    {
        if (receive || send)
        {
            _ = NativeMethods.ShutDown(socket.Number, receive && send ? Both : receive ? Receiving : Sending);
        }
    }

    // A plain file refuses connections, too, and is not ours to remove.
    private static bool IsAbandoned(string path)
    {
        FileStatus status;
        byte[] name = [.. Encoding.UTF8.GetBytes(path), 0];
        fixed (byte* p = name)
        {
            // SAFETY: the path ends with a zero, and the structure has the layout and size of struct statx.
            if (NativeMethods.GetStatus(CurrentDirectory, p, NotFollowingLinks, TypeWanted, &status) != 0 || status.Type != FileStatus.SocketType)
            {
                return false;
            }
        }

        using OwnedDescriptor? probe = Connect(path, out int error);
        return error == ErrorNumber.ConnectionRefused;
    }

    private static OwnedDescriptor Create()
    {
        int number = NativeMethods.Socket(UnixFamily, Stream | NonBlocking | CloseOnExec, 0);
        return number >= 0 ? new OwnedDescriptor(number) : throw SystemCallException.FromLastError("socket");
    }

    private static uint WriteAddress(byte* address, string path)
    {
        // SAFETY: the structure has the family, then 108 bytes for the path and its end.
        Span<byte> bytes = new(address, AddressLength);
        bytes.Clear();
        bytes[0] = UnixFamily;
        if (Encoding.UTF8.GetByteCount(path) > MaximumPathLength)
        {
            throw new ArgumentException($"The path '{path}' is longer than {MaximumPathLength} bytes.", nameof(path));
        }

        return (uint)(FamilyLength + Encoding.UTF8.GetBytes(path, bytes[FamilyLength..]) + 1);
    }
}
