namespace Lamina.Cli.Images.Agent;

/// <summary>The agent's variables, by their offsets. Numbers have four bytes. Each process has its own, because they are copied when it is forked.</summary>
internal enum Variable
{
    Listener = 0x00,
    Connection = 0x04,
    Output = 0x08,
    Error = 0x0c,
    Input = 0x10,
    Master = 0x14,
    Terminal = 0x18,
    Command = 0x1c,
    OutputPump = 0x20,
    ErrorPump = 0x24,
    InputPump = 0x28,
    Controller = 0x2c,
    Status = 0x30,
    AddressLength = 0x34,

    // Pipes: the end that is read from, then the one that is written to. Nothing is written to the last: it is closed when the command has ended.
    OutputSource = 0x40,
    OutputSink = 0x44,
    ErrorSource = 0x48,
    ErrorSink = 0x4c,
    InputSource = 0x50,
    InputSink = 0x54,
    EndSource = 0x58,
    EndSink = 0x5c,

    // struct sockaddr_vm.
    Peer = 0x60,

    // Two of struct pollfd.
    Polled = 0x70,

    // A message on the control connection.
    Message = 0x80,

    // struct winsize.
    WindowSize = 0x88,

    // siginfo_t.
    Information = 0x100,

    // The request, then the addresses of its strings, then they.
    Request = 0x180,
    Addresses = 0x1000,
    Strings = 0x2_0000,
    Buffer = 0x6_0000,
    End = 0x7_0000,
}
