#include "strata/optim/history.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <locale>

#include "strata/framework/error.hpp"

namespace strata {

void History::write_csv(const std::string& path) const {
  std::ofstream file(path);
  file.imbue(std::locale::classic());
  file.precision(std::numeric_limits<double>::max_digits10);
  file << "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,seconds\n";
  for (const EpochRecord& record : epochs) {
    file << record.epoch;
    for (const double value : {record.train_loss, record.train_accuracy, record.validation_loss,
                               record.validation_accuracy, record.learning_rate, record.seconds}) {
      file << ',';
      if (!std::isnan(value)) file << value;
    }
    file << '\n';
  }
  file.close();
  if (!file) throw DataError("cannot write '" + path + "': " + std::strerror(errno));
}

}  // namespace strata
