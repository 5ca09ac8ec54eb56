namespace Lamina.Chipset.Keyboard;

/// <summary>Commands to the i8042 (IBM PS/2 hardware interface technical reference, "Keyboard and auxiliary device controller").</summary>
internal enum ControllerCommand : byte
{
    None = 0x00,
    FirstReadMemory = 0x20,
    LastReadMemory = 0x3f,
    FirstWriteMemory = 0x60,
    LastWriteMemory = 0x7f,
    TestPassword = 0xa4,
    DisableAuxiliary = 0xa7,
    EnableAuxiliary = 0xa8,
    TestAuxiliary = 0xa9,
    SelfTest = 0xaa,
    TestKeyboard = 0xab,
    DisableKeyboard = 0xad,
    EnableKeyboard = 0xae,
    ReadInputPort = 0xc0,
    ReadOutputPort = 0xd0,
    WriteOutputPort = 0xd1,
    WriteKeyboardBuffer = 0xd2,
    WriteAuxiliaryBuffer = 0xd3,
    WriteAuxiliaryDevice = 0xd4,
    ReadTestInputs = 0xe0,
    FirstPulse = 0xf0,
}
